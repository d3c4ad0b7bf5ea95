"""`open_storage`: from a URL to a storage."""

import importlib
import os
import sys
from datetime import timedelta

import pytest

from heartbeat_kit.errors import InvalidConfigurationError, MissingDependencyError
from heartbeat_kit.storage import MemoryStorage, SharedFolderStorage, Storage, open_storage


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A real distribution on `sys.path` that offers two schemes; only one of its modules can be imported."""
    site = tmp_path / "site"
    info = site / "acme_storages-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-storages\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[heartbeat_kit.storages]\nacme = acme_storages:opened\nacme-broken = acme_storages_gone:opened\n"
        "acme-odd = acme_storages:odd\nredis = acme_storages:opened\n"
    )
    (site / "acme_storages.py").write_text(
        "from heartbeat_kit.storage import MemoryStorage\n"
        "def opened(url):\n    storage = MemoryStorage()\n    storage.url = url\n    return storage\n"
        "def odd(url):\n    return 7\n"
    )
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("acme_storages", None)


@pytest.mark.parametrize("url", ["memory://", "memory:", "MEMORY://"])
def test_memory(url):
    assert isinstance(open_storage(url), MemoryStorage)


@pytest.mark.parametrize("url", ["memory://host", "memory:///path", "memory://?durable=true", "memory://#x"])
def test_memory_takes_nothing_else(url):
    with pytest.raises(InvalidConfigurationError, match="memory://"):
        open_storage(url)


def test_a_folder_with_every_setting(tmp_path):
    storage = open_storage(
        f"folder://{tmp_path}/new?propagation_delay=1.5&create=yes&must_exist=0&durable=TRUE&time_budget=2.5"
    )
    assert isinstance(storage, SharedFolderStorage)
    assert storage.traits.location == f"folder:{(tmp_path / 'new').resolve()}"
    assert storage.traits.propagation_delay == timedelta(seconds=1.5)
    assert storage._durable is True
    assert storage._reads._seconds == 2.5
    storage.close()


def test_a_folder_without_settings_has_the_defaults_of_the_class(tmp_path):
    storage = open_storage(f"folder://{tmp_path}")
    assert storage.traits.propagation_delay is None
    assert storage._reads._seconds == 5
    storage.close()


def test_a_budget_can_be_switched_off(tmp_path):
    storage = open_storage(f"folder://{tmp_path}?time_budget=none")
    assert storage._reads._seconds is None


def test_a_relative_path(tmp_path, monkeypatch):
    (tmp_path / "some" / "dir").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    storage = open_storage("folder:some/dir")
    assert storage.traits.location == f"folder:{(tmp_path / 'some' / 'dir').resolve()}"
    storage.close()


def test_a_path_is_percent_decoded(tmp_path):
    (tmp_path / "a b#ü?").mkdir()
    storage = open_storage(f"folder://{tmp_path}/a%20b%23%C3%BC%3F")
    assert storage.traits.location.endswith("a b#ü?")
    storage.close()


@pytest.mark.skipif(os.name == "nt", reason="a relative folder C: stands in for the drive")
def test_a_windows_drive_loses_the_slash_before_it(tmp_path, monkeypatch):
    (tmp_path / "C:" / "share").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    storage = open_storage("folder:///C:/share")
    assert storage.traits.location == f"folder:{(tmp_path / 'C:' / 'share').resolve()}"
    storage.close()


def test_json_opens_the_json_file_storage(tmp_path):
    module = pytest.importorskip("heartbeat_kit.storage.json_file")
    storage = open_storage(f"json://{tmp_path}/new?create=true&durable=false&must_exist=true")
    assert isinstance(storage, module.JsonFileStorage)
    assert isinstance(storage, Storage)
    assert str(tmp_path / "new") in storage.traits.location
    storage.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("folder:///x?colour=red", "colour.*create, durable, must_exist, propagation_delay, time_budget"),
        ("json:///x?propagation_delay=1", "propagation_delay.*create, durable, must_exist"),
        ("folder:///x?create=maybe", "create='maybe'.*true or false"),
        ("folder:///x?create=", "create=''.*true or false"),
        ("folder:///x?durable=1&durable=0", "durable is given twice"),
        ("folder:///x?propagation_delay=soon", "propagation_delay='soon'.*seconds"),
        ("folder:///x?propagation_delay=-1", "propagation_delay='-1'.*zero or more"),
        ("folder:///x?propagation_delay=nan", "propagation_delay='nan'.*seconds"),
        ("folder:///x?propagation_delay=inf", "propagation_delay='inf'.*seconds"),
        ("folder:///x?propagation_delay=1e300", "propagation_delay='1e300'.*seconds"),
        ("folder:///x?time_budget=0", "time_budget='0'.*more than zero, or none"),
        ("folder:///x?time_budget=1e-9", "time_budget='1e-9'.*more than zero, or none"),
        ("folder://srv/share", "three slashes"),
        ("folder:///srv/a#b", "%23"),
        ("folder:///srv/%ff", "percent-encoded"),
        ("folder:///srv/%00", "NUL"),
        ("folder:", "give the path"),
        ("folder:///srv/${SHARED}", "not expanded"),
        ("folder:///undefined", "unset variable"),
        ("json://[", "cannot be read"),
        ("/srv/share", "no scheme.*folder:///"),
        ("", "no scheme"),
        ("C:\\share", "folder:///C:/share"),
        ("ftp://user:secret@host/x", "'ftp'.*folder, json, memory"),
        (None, "text such as"),
    ],
)
def test_what_cannot_be_is_refused_and_explained(url, said):
    with pytest.raises(InvalidConfigurationError, match=said) as caught:
        open_storage(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "postgresql", "mysql", "sqlite", "postgresql+psycopg"])
def test_a_planned_scheme_is_said_to_be_missing_without_inventing_a_command(scheme):
    with pytest.raises(MissingDependencyError, match=r"not part of this release.*folder, json, memory") as caught:
        open_storage(f"{scheme}://user:secret@host/0")
    assert "secret" not in str(caught.value)
    assert "heartbeat_kit.storages" in str(caught.value)
    assert "pip" not in str(caught.value)


def test_a_package_offers_a_scheme_by_entry_point(package):
    storage = open_storage("acme://host/path?x=1")
    assert storage.url == "acme://host/path?x=1"


def test_a_package_may_offer_a_planned_scheme(package):
    assert open_storage("redis://host").url == "redis://host"


def test_the_schemes_of_packages_are_listed(package):
    with pytest.raises(InvalidConfigurationError, match="acme, acme-broken, acme-odd, folder, json, memory"):
        open_storage("nonsense://x")


def test_an_entry_point_that_cannot_be_imported_names_its_package_and_the_command(package):
    with pytest.raises(MissingDependencyError, match="pip install --upgrade acme-storages") as caught:
        open_storage("acme-broken://x")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert "acme_storages_gone" in str(caught.value)


def test_an_entry_point_that_returns_something_else_is_refused(package):
    with pytest.raises(InvalidConfigurationError, match="returned 'int'"):
        open_storage("acme-odd://x")
