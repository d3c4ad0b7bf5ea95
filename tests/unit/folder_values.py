"""Heartbeats and folders that tests of the shared folder use."""

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit.storage._codec import heartbeat_to_text


def beat(machine_id="web1", seq=1, incarnation=5, **more):
    return Heartbeat(
        machine_id=machine_id, last_heartbeat=1000 + seq, incarnation=incarnation, seq=seq, interval=30_000, **more
    )


def text(heartbeat):
    return heartbeat_to_text(heartbeat) + "\n"


def tree(root):
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
    }
