"""Run every benchmark and print the table of `docs/performance.md`: ``python bench``."""

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch, "results.json")
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(HERE),
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            str(HERE / "pytest.ini"),
        ]
        options = [f"--benchmark-json={results}", "--benchmark-disable-gc", *sys.argv[1:]]
        code = subprocess.run([*command, *options], check=False).returncode
        if code:
            return code
        found = json.loads(results.read_text())["benchmarks"]
    print(f"\nPython {platform.python_version()}, {platform.system()} {platform.machine()}\n")
    print("| what | ours | floor or peer | ratio | limit | |\n|---|---:|---:|---:|---:|---|")
    missed = 0
    for entry in found:
        info = entry["extra_info"]
        limit, value = info.get("limit"), info["ratio"]
        kept = "" if limit is None else ("kept" if value <= limit else "MISSED")
        missed += kept == "MISSED"
        ours, floor = shown(info, "ours_us"), shown(info, "floor_us")
        print(f"| {entry['name']} | {ours} | {floor} | {value:.2f} | {limit or '—'} | {kept} |")
    return 1 if missed else 0


def shown(info: dict, key: str) -> str:
    if "bytes_per_machine" in info:
        return f"{info['bytes_per_machine']:.0f} B" if key == "ours_us" else "1024 B"
    us = info[key]
    return f"{us:.1f} µs" if us < 1_000 else f"{us / 1000:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
