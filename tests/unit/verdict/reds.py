"""The red side of every rule: what to spoil in a good run, and the word that must come of it.

Each row is a run that only its rule objects to (`alone`), so that taking the rule away would turn it green.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lab.units import MIB, PAGE_SIZE
from lab.verdict.model import Word
from lab.verdict.rules_claims import STRAY_PAGES
from tests.unit.verdict.builder import WORK, Story, compared, story
from tests.unit.verdict.machine import KERNELS, Json, Kernel


@dataclass(frozen=True)
class Red:
    """`make` tells the spoilt run; `rule` must be the one that objects, with `word`."""

    rule: str
    name: str
    word: Word
    make: Callable[[], Story]

    def __str__(self) -> str:
        return f"{self.rule}: {self.name}"


def spoilt(case: str, spoil: Callable[[Story], object], kernel: Kernel = KERNELS["put-hook"]) -> Callable[[], Story]:
    def make() -> Story:
        told = story(case, kernel)
        spoil(told)
        return told

    return make


def console(text: str, guest: str = "receiver") -> Callable[[Story], object]:
    def spoil(told: Story) -> None:
        lines = told.machine.console if guest == "receiver" else told.sender_console
        lines.append(f"[  101.000000] {text}")

    return spoil


def client(name: str, event: str, **fields: object) -> Callable[[Story], object]:
    return lambda told: told.event(name, event).update(fields)


def record(name: str, **fields: object) -> Callable[[Story], object]:
    return lambda told: told.record(name).update(fields)


def manifest(**fields: object) -> Callable[[Story], object]:
    return lambda told: told.manifest.update(fields)


def driven(share: float) -> Callable[[Story], object]:
    """The host's clock saw the run last that share of what the guests' clocks say."""

    def spoil(told: Story) -> None:
        told.manifest["seconds"]["drive"] *= share

    return spoil


def sender_runs(times: float) -> Callable[[Story], object]:
    def spoil(told: Story) -> None:
        for line in (*told.sender_telemetry, *(event for log in told.senders.values() for event in log)):
            line["t"] *= times

    return spoil


def every_sample(change: Callable[[Json], object]) -> Callable[[Story], object]:
    def spoil(told: Story) -> None:
        for sample in (*told.machine.telemetry, *told.checkpoints):
            change(sample)

    return spoil


def in_checkpoint(name: str, change: Callable[[Json], object]) -> Callable[[Story], object]:
    return lambda told: change(told.checkpoint(name))


def shift_memory(sample: Json, size: int) -> None:
    sample["meminfo"]["MemFree"] -= size


def gave_up() -> Story:
    """A kernel that charges nothing, and a client that ran out of address space at 48 MiB."""
    told = story("hold", Kernel(mapped=False), deliver=48 * MIB)
    told.event("abuser", "holding").update(reason="error", errno=12, call="mmap")
    told.record("abuser").update(deliver=256 * MIB)
    return told


def ring_refuses() -> Story:
    """The kernel takes no mapped page as a buffer of an io_uring; what was mapped for it stays mapped."""
    told = story("pin-uring", KERNELS["put-hook"], deliver=8 * MIB)
    for line in told.clients["abuser"]:
        if line.get("pinned"):
            line.update(mapped_now=line["pinned"], pinned=0)
    told.event("abuser", "holding").update(reason="error", errno=14, call="IORING_REGISTER_BUFFERS_UPDATE")
    told.record("abuser").update(deliver=256 * MIB)
    return told


def ring_gave_up() -> Story:
    told = ring_refuses()
    told.event("abuser", "holding").update(errno=28)
    return told


def nothing_left_behind(told: Story) -> None:
    for sample in (*told.machine.telemetry, *told.checkpoints):
        if "abuser" in sample["cg"]:
            sample["cg"]["abuser"]["stat"]["sock"] = 64 * PAGE_SIZE


def leak_after_release(told: Story) -> None:
    for name in ("released", "end"):
        shift_memory(told.checkpoint(name), 20 * MIB)


def fewer(told: Story, start: float, end: float) -> None:
    told.machine.telemetry[:] = [s for s in told.machine.telemetry if not start < s["t"] < end]


def claim(told: Story, factor: float) -> None:
    """The client says it holds so many times what it does."""
    for line in told.clients["abuser"]:
        if "held" in line:
            line["held"] = round(line["held"] * factor)


def mapped(told: Story, share: float) -> None:
    for line in told.clients["abuser"]:
        if "mapped" in line:
            line["mapped"] = round(line["mapped"] * share)


def beside(spoil: Callable[[Story], object]) -> Callable[[Story], object]:
    """The same, but on the reference's side."""

    def spoil_reference(told: Story) -> None:
        assert told.reference is not None
        spoil(told.reference)

    return spoil_reference


def no_reference(told: Story) -> None:
    told.reference = None
    told.manifest["reference"] = ""


def unmapped(told: Story) -> None:
    for lines in told.clients.values():
        for line in lines:
            line.update({"mapped": 0} if "mapped" in line else {})


def less_mapped(told: Story) -> None:
    """Above the floor, yet a tenth less than on the reference."""
    for lines in told.clients.values():
        for line in lines:
            line.update({"mapped": round(0.9 * line["mapped"])} if "mapped" in line else {})


def slow_clock(told: Story) -> None:
    """As many counts as turns, but taken at other times."""
    for line in told.counts:
        line["t"] = round(4 * line["t"], 6)


def noisy(told: Story) -> None:
    """Every other turn needs a third more instructions."""
    extra = 0
    for n, line in enumerate(told.counts):
        extra += 20_000_000 if n % 4 == 1 else 0
        line["instructions"] += extra


def innocent_slows(told: Story) -> None:
    """Its bytes stop coming when the abuser has taken what it can."""
    most = max(e["t"] for e in told.clients["abuser"] if e["event"] in ("progress", "holding"))
    stuck = max(e["delivered"] for e in told.clients["innocent"] if "delivered" in e and e["t"] <= most)
    for line in told.clients["innocent"]:
        if line.get("delivered", 0) > stuck:
            line["delivered"] = stuck


def kill_line(told: Story, who: str, *, memcg: str | None) -> None:
    """One more kill, on the console and in the kernel's counter."""
    t = told.machine.telemetry[-2]["t"]
    where = f"CONSTRAINT_MEMCG,oom_memcg={memcg}" if memcg else "CONSTRAINT_NONE,global_oom"
    head = "Memory cgroup out" if memcg else "Out"
    told.machine.console.append(f"[{t:12.6f}] oom-kill:constraint={where},task_memcg={who},task=x,pid=9,uid=0")
    told.machine.console.append(f"[{t:12.6f}] {head} of memory: Killed process 9 (x) total-vm:1kB")
    told.machine.telemetry[-1]["vmstat"]["oom_kill"] += 1


def truncate_client(told: Story) -> None:
    files = told.files()
    told.tampered["clients/abuser.jsonl"] = files["clients/abuser.jsonl"][:-20]


def charge_at(told: Story, name: str, extra: int) -> None:
    """The charge of a cgroup at a checkpoint and in the samples after it."""
    t = told.checkpoint(name)["t"]
    for sample in (*told.machine.telemetry, *told.checkpoints):
        if sample["t"] >= t and "abuser" in sample["cg"]:
            group = sample["cg"]["abuser"]
            group["current"] += extra
            group["peak"] = max(group["peak"], group["current"])


def far_from_limit(told: Story) -> None:
    """A quarter of its limit is held, and the kernel refuses all the same."""
    told.record("abuser").update(limit=256 * MIB)
    for sample in (*told.machine.telemetry, *told.checkpoints):
        sample["cg"].get("abuser", {}).update(max=256 * MIB)


def peak_over(told: Story) -> None:
    for sample in (*told.machine.telemetry, *told.checkpoints):
        if "abuser" in sample["cg"]:
            sample["cg"]["abuser"]["peak"] += 80 * MIB


def not_counted_when_lowered(told: Story) -> None:
    told.checkpoints.remove(told.checkpoint("lowered"))


def lowered_too_late(told: Story) -> None:
    """The client had ended by then."""
    end = told.event("abuser", "holding")["t"]
    for sample in told.machine.telemetry:
        if "abuser" in sample["cg"] and sample["t"] <= end + 0.1:
            sample["cg"]["abuser"]["max"] = 64 * MIB


def limit_rises(told: Story) -> None:
    inside = [s["cg"]["abuser"] for s in told.machine.telemetry if s["cg"].get("abuser", {}).get("procs")]
    inside[-1]["max"] = 64 * MIB


def counted_too_early(told: Story) -> None:
    """While the pages are walked, 24 MiB come in besides those held, which TCP had not queued when the walk began."""
    told.checkpoint("held")["pages"]["plain"] += (told.event("abuser", "holding")["held"] + 24 * MIB) // PAGE_SIZE


F, E, M = Word.FAIL, Word.ERROR, Word.MISS
FREE = Kernel(anon=False)
NO_SOCK = Kernel(sock=False)

REDS: tuple[Red, ...] = (
    Red(
        "kernel-alive", "warning", F, spoilt("hold", console("WARNING: CPU: 0 PID: 1 at mm/page_counter.c:1 f+0x1/0x2"))
    ),
    Red("kernel-alive", "a trace that nothing explains", E, spoilt("hold", console("Call Trace:"))),
    Red("kernel-alive", "a lock held wrongly", F, spoilt("hold", console("[ BUG: Invalid wait context ]", "sender"))),
    Red(
        "kernel-alive",
        "sender's oops",
        F,
        spoilt("hold", console("BUG: kernel NULL pointer dereference, address: 0", "sender")),
    ),
    Red(
        "kernel-alive",
        "panic",
        F,
        spoilt("bystander", console("Kernel panic - not syncing: System is deadlocked on memory")),
    ),
    Red("kernel-alive", "hang", F, spoilt("hold", lambda s: s.incident("hang"))),
    Red("lab-alive", "boot", M, spoilt("hold", lambda s: s.incident("boot"))),
    Red("lab-alive", "lost guest", M, spoilt("release", lambda s: s.incident("lost"))),
    Red("lab-alive", "disk full", M, spoilt("release", lambda s: s.incident("host", ""))),
    Red("lab-alive", "client crashed", E, spoilt("hold", record("abuser", status=139))),
    Red("lab-alive", "client killed by nobody", E, spoilt("hold", record("abuser", status=137))),
    Red("lab-alive", "client failed", E, spoilt("hold", record("abuser", status=1))),
    Red("lab-alive", "end unseen", M, spoilt("hold", record("abuser", status=None))),
    Red("lab-alive", "sender failed", E, spoilt("hold", record("abuser", sender_status=2))),
    Red("lab-alive", "receiver's clock too fast", M, spoilt("bystander", driven(0.3))),
    Red("lab-alive", "sender's clock too fast", M, spoilt("hold", sender_runs(8))),
    Red("lab-alive", "sender never started", M, spoilt("hold", lambda s: s.senders["abuser"].pop(0))),
    Red("complete", "altered client log", E, spoilt("sock-control", truncate_client)),
    Red("complete", "absent sender log", E, spoilt("hold", lambda s: s.absent.add("sender/telemetry.jsonl"))),
    Red("complete", "absent extra file", E, spoilt("hold", lambda s: s.absent.add("sender/console.log"))),
    Red("complete", "gap in telemetry", E, spoilt("bystander", lambda s: fewer(s, 100.65, 103.75))),
    Red("complete", "lines lost", E, spoilt("bystander", lambda s: s.machine.telemetry.__delitem__(slice(5, 25, 2)))),
    Red("complete", "no end", E, spoilt("hold", lambda s: s.clients["abuser"].pop())),
    Red(
        "complete",
        "limit not in force",
        E,
        spoilt("hold", every_sample(lambda s: s["cg"].get("abuser", {}).update(max=-1))),
    ),
    Red("complete", "no end checkpoint", E, spoilt("hold", lambda s: s.checkpoints.pop(-2))),
    Red("complete", "kill untold", E, spoilt("hold", lambda s: s.machine.telemetry[-1]["vmstat"].update(oom_kill=1))),
    Red("complete", "other behaviour", E, spoilt("hold", record("abuser", behaviour="pin-vmsplice"))),
    Red("preflight", "below the floor", E, spoilt("hold", lambda s: s.preflight[0].update(mapped=3 * MIB))),
    Red("preflight", "nothing mapped", E, spoilt("sock-control", lambda s: s.preflight[0].update(mapped=0))),
    Red("preflight", "did not end", E, spoilt("hold", lambda s: s.preflight[0].update(event="progress"))),
    Red("preflight", "too little", E, spoilt("hold", lambda s: s.preflight[0].update(mapped=100, delivered=100))),
    Red("preflight", "no floor", E, spoilt("sock-control", manifest(floor=0.0))),
    Red("exercised", "copied instead", E, spoilt("hold", partial(mapped, share=0.5))),
    Red("exercised", "too little taken", E, partial(story, "hold", KERNELS["stock"], deliver=88 * MIB)),
    Red("exercised", "nothing mapped", E, spoilt("pin-vmsplice", partial(mapped, share=0.0))),
    Red(
        "exercised",
        "never removed",
        E,
        spoilt("dead-memcg", in_checkpoint("removed", lambda c: shift_memory(c, -60 * MIB))),
    ),
    Red("exercised", "stopped for a reason of its own", E, gave_up),
    Red("witnesses", "client exaggerates", E, spoilt("release", partial(claim, factor=1.3))),
    Red("witnesses", "client is silent", E, spoilt("release", partial(claim, factor=0.7))),
    Red(
        "witnesses", "memory did not go", E, spoilt("hold", in_checkpoint("held", lambda c: shift_memory(c, -30 * MIB)))
    ),
    Red("witnesses", "more memory went", E, spoilt("hold", in_checkpoint("held", lambda c: shift_memory(c, 30 * MIB)))),
    Red(
        "witnesses",
        "page counts differ",
        E,
        spoilt("hold", in_checkpoint("held", lambda c: c["pages"].update(plain=10**5))),
    ),
    Red(
        "witnesses",
        "page counts too few",
        E,
        spoilt("hold", in_checkpoint("held", lambda c: c["pages"].update(charged={}))),
    ),
    Red("witnesses", "no page counts", E, spoilt("hold", in_checkpoint("held", lambda c: c.pop("pages")))),
    Red(
        "witnesses",
        "charge flickers",
        E,
        spoilt("hold", lambda s: s.checkpoint("held")["cg"]["abuser"].update(current=30 * MIB)),
    ),
    Red(
        "witnesses",
        "secret memory",
        E,
        spoilt("hold", in_checkpoint("held", lambda c: c["meminfo"].update(AnonPages=50 * MIB))),
    ),
    Red("billed", "mapped pages", F, partial(story, "hold", KERNELS["stock"])),
    Red("billed", "pinned pages, stock", F, partial(story, "pin-vmsplice", KERNELS["stock"])),
    Red("billed", "pinned pages, precharge", F, partial(story, "pin-vmsplice", KERNELS["precharge"])),
    Red("exercised", "ring gave up", E, ring_gave_up),
    Red("exercised", "nothing left behind", E, spoilt("double-count", nothing_left_behind)),
    Red("billed", "pinned by a send", F, partial(story, "pin-sendzc", KERNELS["precharge"])),
    Red("billed", "pinned by tee", F, partial(story, "pin-tee", KERNELS["unmap-hook"])),
    Red("billed", "pinned by a child", F, partial(story, "pin-fork", KERNELS["stock"])),
    Red("allowed", "refused", Word.SKIP, ring_refuses),
    Red("witnesses", "counted while its queues fill", E, spoilt("never-over", counted_too_early)),
    Red("never-over", "forced", F, partial(story, "never-over", KERNELS["unmap-hook"])),
    Red(
        "never-over", "charged for more than is held", F, spoilt("never-over", lambda s: charge_at(s, "held", 16 * MIB))
    ),
    Red("never-over", "not charged", E, partial(story, "never-over", KERNELS["stock"])),
    Red("lowered", "forced", F, partial(story, "never-over-lowered", KERNELS["unmap-hook"])),
    Red(
        "lowered",
        "charged for more than is held",
        F,
        spoilt("never-over-lowered", lambda s: charge_at(s, "held", 16 * MIB)),
    ),
    Red("lowered", "not counted then", E, spoilt("never-over-lowered", not_counted_when_lowered)),
    Red("exercised", "lowered, and not charged", E, partial(story, "never-over-lowered", KERNELS["stock"])),
    Red("exercised", "lowered too late", E, spoilt("never-over-lowered", lowered_too_late)),
    Red("exercised", "lowered, and stood still", E, spoilt("never-over-lowered", client("abuser", "holding", errno=0))),
    Red("complete", "the lowered limit rose again", E, spoilt("never-over-lowered", limit_rises)),
    Red("exercised", "stood still at its limit", E, spoilt("never-over", client("abuser", "holding", errno=0))),
    Red("exercised", "refused a window", E, spoilt("never-over", client("abuser", "holding", call="mmap"))),
    Red(
        "exercised",
        "lowered, refused a window",
        E,
        spoilt("never-over-lowered", client("abuser", "holding", call="mmap")),
    ),
    Red("exercised", "refused long before its limit", E, spoilt("never-over", far_from_limit)),
    Red("exercised", "refused too seldom", E, spoilt("refused", client("abuser", "holding", refusals=49))),
    Red("exercised", "refused for another reason", E, spoilt("refused", client("abuser", "holding", refusal=22))),
    Red("exercised", "the rest did not come", E, spoilt("refused", client("abuser", "holding", delivered=96 * MIB))),
    Red("exercised", "nothing was refused", E, partial(story, "refused", KERNELS["stock"])),
    Red("exercised", "stopped far from the limit", E, spoilt("refused", far_from_limit)),
    Red("returned", "a refusal leaks pages", F, spoilt("refused", lambda s: charge_at(s, "released", 2 * MIB))),
    Red(
        "buried", "a refusal leaks a reference", F, spoilt("refused", in_checkpoint("end", lambda c: c.update(dying=2)))
    ),
    Red("twice", "charged twice for good", F, spoilt("double-count", lambda s: charge_at(s, "held", 16 * MIB))),
    Red("twice", "one socket", F, spoilt("double-count-1", lambda s: charge_at(s, "held", 2 * MIB))),
    Red("twice", "not charged", E, partial(story, "double-count", KERNELS["stock"])),
    Red("twice", "not charged, 16 sockets", E, partial(story, "double-count-16", KERNELS["stock"])),
    Red("twice", "not charged, one socket", E, partial(story, "double-count-1", KERNELS["stock"])),
    Red("file-mapped", "not counted for the memcg", F, partial(story, "file-mapped", KERNELS["stock"])),
    Red(
        "file-mapped",
        "counted twice for the memcg",
        F,
        spoilt("file-mapped", in_checkpoint("held", lambda c: c["cg"]["abuser"]["stat"].update(file_mapped=128 * MIB))),
    ),
    Red(
        "file-mapped",
        "not counted for the machine",
        F,
        spoilt("file-mapped", in_checkpoint("held", lambda c: c["vmstat"].update(nr_mapped=3000))),
    ),
    Red(
        "file-mapped",
        "still counted for the memcg after release",
        F,
        spoilt(
            "file-mapped", in_checkpoint("released", lambda c: c["cg"]["abuser"]["stat"].update(file_mapped=2 * MIB))
        ),
    ),
    Red(
        "file-mapped",
        "less than nothing counted for the machine after release",
        F,
        spoilt("file-mapped", in_checkpoint("released", lambda c: c["vmstat"].update(nr_mapped=2000))),
    ),
    Red(
        "file-mapped",
        "not seen after release",
        E,
        spoilt("file-mapped", lambda s: s.checkpoints.remove(s.checkpoint("released"))),
    ),
    Red("file-mapped", "smaps differ", E, spoilt("file-mapped", client("abuser", "smaps", resident=32 * MIB))),
    Red(
        "file-mapped",
        "no smaps",
        E,
        spoilt("file-mapped", lambda s: s.clients["abuser"].remove(s.event("abuser", "smaps"))),
    ),
    Red(
        "file-mapped",
        "no counter",
        E,
        spoilt("file-mapped", in_checkpoint("held", lambda c: c["cg"]["abuser"].update(stat={}))),
    ),
    Red("returned", "charge stuck", F, spoilt("release", lambda s: charge_at(s, "released", 2 * MIB))),
    Red("returned", "charge underflows", F, spoilt("release", lambda s: charge_at(s, "released", 2**63))),
    Red(
        "returned",
        "memory leaks",
        F,
        spoilt("release", leak_after_release),
    ),
    Red("returned", "release unseen", E, spoilt("release", lambda s: s.checkpoints.remove(s.checkpoint("released")))),
    Red("buried", "lingers", F, spoilt("dead-memcg", in_checkpoint("end", lambda c: c.update(dying=2)))),
    Red(
        "buried",
        "an older one went in its place",
        F,
        spoilt("dead-memcg", in_checkpoint("end", lambda c: c["pages"].update(offline=512))),
    ),
    Red(
        "buried",
        "one page more than noise",
        F,
        spoilt("dead-memcg", in_checkpoint("end", lambda c: c["pages"].update(offline=STRAY_PAGES + 1))),
    ),
    Red(
        "buried",
        "its pages not counted",
        E,
        spoilt("dead-memcg", in_checkpoint("end", lambda c: c["pages"].pop("offline"))),
    ),
    Red(
        "buried",
        "no page counts",
        E,
        spoilt("dead-memcg", in_checkpoint("end", lambda c: c.pop("pages"))),
    ),
    Red("buried", "memory leaks", F, spoilt("dead-memcg", in_checkpoint("end", lambda c: shift_memory(c, 20 * MIB)))),
    Red(
        "buried",
        "not removed",
        E,
        spoilt("dead-memcg", lambda s: s.checkpoint("removed")["cg"].update(s.checkpoint("held")["cg"])),
    ),
    Red("isolated", "innocent's rate", F, spoilt("bystander", innocent_slows)),
    Red("isolated", "stranger killed", F, spoilt("bystander", partial(kill_line, who="/system", memcg=None))),
    Red("isolated", "innocent killed first", F, partial(story, "bystander", KERNELS["stock"])),
    Red(
        "isolated",
        "killed in its own cgroup",
        F,
        spoilt("bystander", partial(kill_line, who="/lab/other", memcg="/lab/other")),
    ),
    Red("contained", "peak far over", F, spoilt("copy-control", peak_over)),
    Red("contained", "not charged", F, partial(story, "copy-control", FREE)),
    Red("contained", "stranger killed", F, spoilt("copy-control", partial(kill_line, who="/system", memcg=None))),
    Red("queue-billed", "not charged", F, partial(story, "sock-control", NO_SOCK)),
    Red(
        "queue-billed",
        "no counter",
        E,
        spoilt("sock-control", in_checkpoint("held", lambda c: c["cg"]["abuser"].update(stat={}))),
    ),
    Red("bytes-equal", "mismatch", F, spoilt("bytes-equal", client("pin", "done", mismatches=3, first_mismatch=4096))),
    Red("bytes-equal", "hash", F, spoilt("bytes-equal", client("map", "done", hash="bad"))),
    Red("bytes-equal", "bytes lost", F, spoilt("bytes-equal", client("copy", "done", delivered=16 * MIB - 1))),
    Red("bytes-equal", "no hash", E, spoilt("bytes-equal", lambda s: s.event("hold", "done").pop("hash"))),
    Red("bytes-equal", "not checked", E, spoilt("bytes-equal", lambda s: s.event("hold", "done").pop("mismatches"))),
    Red("bytes-equal", "sender broke", E, spoilt("bytes-equal", lambda s: s.senders["map"][-1].update(event="broken"))),
    Red("reference", "no bundle", E, spoilt("cost", no_reference)),
    Red("reference", "its kernel died", E, spoilt("cost", beside(console("BUG: unable to handle page fault")))),
    Red("reference", "its lab failed", M, spoilt("cost", beside(lambda s: s.incident("lost")))),
    Red("reference", "nothing mapped", E, spoilt("cost", beside(unmapped))),
    Red("reference", "bytes lost", E, spoilt("cost", beside(client("turn3", "holding", delivered=127 * MIB)))),
    Red("cost", "no count", E, spoilt("cost", lambda s: s.counts.clear())),
    Red("cost", "a turn not counted", E, spoilt("cost", lambda s: s.counts.__delitem__(slice(4, 6)))),
    Red("cost", "reference not counted", E, spoilt("cost", beside(lambda s: s.counts.clear()))),
    Red("cost", "counts run backwards", E, spoilt("cost", lambda s: s.counts[9].update(instructions=1))),
    Red("cost", "counts stand still", E, spoilt("cost", lambda s: [c.update(instructions=7) for c in s.counts])),
    Red("cost", "counts of another transfer", E, spoilt("cost", slow_clock)),
    Red("cost", "other shares mapped", E, spoilt("cost", less_mapped)),
    Red("cost", "interval too wide", E, spoilt("cost", noisy)),
    Red("cost", "differs from itself", E, partial(compared, work=1.01 * WORK, same=True)),
)
