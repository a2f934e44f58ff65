"""Put a running service under load at a stated rate."""

from collections.abc import Callable, Sequence

from gitrain.environments.document import LoadProbe
from gitrain.probes.arrivals import arrival_times
from gitrain.probes.client import LoadGenerator
from gitrain.probes.load import LoadFigures
from gitrain.probes.load_verdicts import judge_load
from gitrain.probes.payloads import Payload
from gitrain.verdicts import Verdict

__all__ = ["probe_load"]


def probe_load(
    generator: LoadGenerator,
    url: str,
    payloads: Sequence[Payload],
    load: LoadProbe,
    *,
    seed: int,
    progress: Callable[[str], None],
) -> list[Verdict]:
    """The verdicts on a load (``load:schedule``, ``load:errors``, ``load:refused`` and one for each limit).

    Args:
        generator: sends the requests.
        url: the service's address.
        payloads: sent in turn.
        load: rate, seconds and limits.
        seed: of the arrivals, where they are random.
        progress: is told what goes on.
    """
    due = arrival_times(load.rate, load.warm_up_seconds + load.seconds, load.arrivals, seed)
    progress(f"load: {len(due):,} requests to {url}, {load.rate:g} a second, {load.warm_up_seconds:g} s of warm-up")
    samples = generator.run(url, due, payloads, timeout=load.timeout_seconds, progress=progress)
    counted = LoadFigures.of(samples.after(load.warm_up_seconds), seconds=load.seconds)
    return judge_load(counted, load.limits)
