"""`Medium`: how records travel from one machine to another, as numbers.

Owns the model of a medium and its presets. Must not know machines, storages or a run: what it does in one is
`_network`.

A cloud folder is modelled as measurements of sync clients show it: a delay with a long tail, which a lognormal
distribution fits, and minutes in which a client does nothing at all.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any, Self

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._times import to_duration
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab._lengths import Length, length_ms, optional_length_ms
from heartbeat_kit.storage import StorageTraits

__all__ = ["Lognormal", "Medium", "Uniform"]

_Z99 = 2.3263
"""The 99th percentile of the standard normal distribution."""


@attrs.frozen(kw_only=True)
class Uniform:
    """A length of time of which every value between two is as likely.

    Attributes:
        least_ms: The shortest; given as `least`, seconds or a timedelta.
        most_ms: The longest, likewise.

    Raises:
        InvalidConfigurationError: The longest is shorter than the shortest.
    """

    least_ms: int = field(alias="least", converter=length_ms)
    most_ms: int = field(alias="most", converter=length_ms)

    def __attrs_post_init__(self) -> None:
        _ordered("least", self.least_ms, "most", self.most_ms)

    def draw(self, random: Random) -> int:
        """One value in milliseconds."""
        return self.least_ms + int(random.random() * (self.most_ms - self.least_ms + 1))


@attrs.frozen(kw_only=True)
class Lognormal:
    """A length of time with a long tail; sigma is ``ln(p99 / median) / 2.3263``.

    Attributes:
        median_ms: Half of all values are shorter; given as `median`, seconds or a timedelta.
        p99_ms: One value in a hundred is longer, likewise.
        least_ms: What would be shorter becomes this long.
        most_ms: What would be longer becomes this long; ``None`` for no limit.
        mu: Mean of the logarithm of the milliseconds.
        sigma: Standard deviation of it.

    Raises:
        InvalidConfigurationError: A median of zero, or values in the wrong order.

    >>> delay = Lognormal(median=8, p99=50)
    >>> round(delay.sigma, 3), delay.draw(Random(1)) == delay.draw(Random(1))
    (0.788, True)
    """

    median_ms: int = field(alias="median", converter=length_ms)
    p99_ms: int = field(alias="p99", converter=length_ms)
    least_ms: int = field(alias="least", default=0, converter=length_ms)
    most_ms: int | None = field(alias="most", default=None, converter=optional_length_ms)
    mu: float = field(init=False, repr=False, eq=False)
    sigma: float = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not self.median_ms:
            raise InvalidConfigurationError("median is 0: a lognormal delay needs a median above zero")
        _ordered("median", self.median_ms, "p99", self.p99_ms)
        if self.most_ms is not None:
            _ordered("least", self.least_ms, "most", self.most_ms)
        object.__setattr__(self, "mu", math.log(self.median_ms))
        object.__setattr__(self, "sigma", math.log(self.p99_ms / self.median_ms) / _Z99)

    def draw(self, random: Random) -> int:
        """One value in milliseconds."""
        drawn = max(int(random.lognormvariate(self.mu, self.sigma)), self.least_ms)
        return drawn if self.most_ms is None else min(drawn, self.most_ms)


def _ordered(first: str, first_ms: int, second: str, second_ms: int) -> None:
    if second_ms < first_ms:
        raise InvalidConfigurationError(
            f"{second} is {second_ms / 1000:g} s: expected at least {first}, {first_ms / 1000:g} s"
        )


def _share(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidConfigurationError(f"{attribute.name} is {value!r}: expected a share between 0 and 1")


def _rate(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1440:
        raise InvalidConfigurationError(f"{attribute.name} is {value!r}: expected between 0 and 1440 a day")


def _declared(value: Length | None) -> Duration | None:
    return None if value is None else to_duration(length_ms(value))


_MINUTES = Uniform(least=60, most=600)


@attrs.frozen(kw_only=True)
class Medium:
    """How records travel. Every delivery of a record to a reader is drawn for itself.

    Attributes:
        name: For people.
        is_coherent: A write is visible to every reader at once, and nothing below can happen.
        propagation_delay: What the storage declares (`StorageTraits.propagation_delay`): an allowance, or ``None`` to
            let the observers measure it. Not what the medium does; that is `delay`.
        delay: How long a record travels; ``None`` for no time.
        stalls_per_day: How often a day each reader's own sync client stands still. Nothing new becomes visible to it,
            and afterwards everything that is due.
        stall: How long.
        upload_pauses_per_day: How often a day a single sender's sync client stands still. No observer can tell this
            from a dead machine.
        upload_pause: How long. Of what was written meanwhile only the newest is uploaded.
        reordered: Share of deliveries after which the version before overwrites the new one for a while.
        reordered_for: How long.
        empty: Share of deliveries during which the file has 0 bytes for a while.
        empty_for: How long at most.
        conflicted: Share of deliveries that leave a conflict copy of the record beside it.
        conflicted_for: How long the copy stays.
        lost: Share of writes that reach nobody.

    Raises:
        InvalidConfigurationError: A value that cannot be, or a coherent medium that delays or damages.
    """

    name: str
    is_coherent: bool = False
    propagation_delay: Duration | None = field(default=None, converter=_declared)
    delay: Lognormal | Uniform | None = None
    stalls_per_day: float = field(default=0.0, validator=_rate)
    stall: Uniform = _MINUTES
    upload_pauses_per_day: float = field(default=0.0, validator=_rate)
    upload_pause: Uniform = _MINUTES
    reordered: float = field(default=0.0, validator=_share)
    reordered_for: Uniform = Uniform(least=5, most=60)
    empty: float = field(default=0.0, validator=_share)
    empty_for: Uniform = Uniform(least=1, most=20)
    conflicted: float = field(default=0.0, validator=_share)
    conflicted_for: Uniform = Uniform(least=60, most=3600)
    lost: float = field(default=0.0, validator=_share)

    def __attrs_post_init__(self) -> None:
        if not self.is_coherent:
            return
        wrong = [name for name in ("delay", "stalls_per_day", "upload_pauses_per_day", "lost") if getattr(self, name)]
        wrong += [name for name in ("reordered", "empty", "conflicted") if getattr(self, name)]
        wrong += ["propagation_delay"] if self.propagation_delay != to_duration(0) else []
        if wrong:
            raise InvalidConfigurationError(
                f"{self.name} is coherent and has {', '.join(wrong)}: what is visible to everybody at once is neither "
                "late nor lost; leave is_coherent out"
            )

    @classmethod
    def coherent(cls) -> Self:
        """One server that everybody asks, as Redis or a database: no delay, no flaw."""
        return cls(name="coherent", is_coherent=True, propagation_delay=0)

    @classmethod
    def nfs(cls, attribute_cache: Length = 3, *, propagation_delay: Length | None = 5) -> Self:
        """A network file system: a client looks at a file anew once its attribute cache has run out.

        Args:
            attribute_cache: The longest a client trusts it; ``acregmin`` of ``nfs(5)``, 3 s by default.
            propagation_delay: What the storage declares.
        """
        return cls(name="nfs", propagation_delay=propagation_delay, delay=Uniform(least=0, most=attribute_cache))

    @classmethod
    def cloud(
        cls,
        *,
        median: Length = 8,
        p99: Length = 50,
        propagation_delay: Length | None = None,
        stalls_per_day: float = 2,
        upload_pauses_per_day: float = 0,
        **changes: Any,
    ) -> Self:
        """A folder that a cloud client syncs: slow with a long tail, with everything that goes wrong there.

        Args:
            median: Median of the delay.
            p99: 99th percentile of the delay.
            propagation_delay: What the storage declares; measured by default.
            stalls_per_day: Of each reader.
            upload_pauses_per_day: Of each sender; off by default, because no observer can see through them.
            **changes: Any other field.
        """
        usual: dict[str, Any] = {
            "name": "cloud",
            "delay": Lognormal(median=median, p99=p99),
            "reordered": 0.01,
            "empty": 0.01,
            "conflicted": 0.001,
            "lost": 0.002,
        }
        return cls(
            propagation_delay=propagation_delay,
            stalls_per_day=stalls_per_day,
            upload_pauses_per_day=upload_pauses_per_day,
            **{**usual, **changes},
        )

    @property
    def traits(self) -> StorageTraits:
        """What a storage on this medium declares."""
        return StorageTraits(
            durable=False,
            cross_process=False,
            cross_host=True,
            coherent=self.is_coherent,
            propagation_delay=self.propagation_delay,
        )
