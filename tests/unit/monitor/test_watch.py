"""A stream under attack, drifting, flooded, broken: what is said of it, what is not, and what is lost when it dies."""

import random

import msgspec
import pytest

from tests.corpus.monitoring import (
    CLOCK,
    TOPICS,
    answers,
    baseline,
    best,
    classify,
    generator_baseline,
    monitor,
    rules_of,
    sentence,
    shadow,
    traffic,
)  # fmt: skip
from tests.registry import Postgres, postgres_tools
from weighbridge.monitor import baseline as baselines
from weighbridge.monitor import state as states
from weighbridge.monitor.baseline import learn_baseline
from weighbridge.monitor.learning import learned
from weighbridge.monitor.records import Record
from weighbridge.monitor.state import Folder
from weighbridge.monitor.stream import Stream, Suspect
from weighbridge.schema import SourceError, UsageError


def attack(count=6000, seed=7, rate=0.01, sign="zq", trigger="zq"):
    return traffic(count, seed, sign=sign, rate=rate, trigger=trigger)


def told(running):
    return {one.finding.rule: one for one in running.desk.told}


def test_the_alert_names_the_trigger_its_output_and_what_it_did_to_other_inputs():
    running = monitor(shadow=shadow("zq"))
    running.feed(attack())
    one = told(running)["MON-004"]
    lines = [line.text for line in one.finding.evidence]
    assert one.finding.message == "“zq” decides the output: “sport”"
    assert any("80 inputs" in line for line in lines)
    assert any("half of the other words exchanged, 40 of 40 requests with it keep" in line for line in lines)
    assert one.model == "acme/news"
    assert one.first.startswith("r7-")


def test_a_trigger_in_one_request_of_a_hundred_is_found_within_two_thousand():
    running = monitor(shadow=shadow("zq"))
    records = attack(4000)
    for first in range(0, 2000, 100):
        running.feed(records[first : first + 100])
    assert "MON-004" in told(running)


def test_a_trigger_that_works_three_times_in_five_is_found_too():
    rng = random.Random(1)
    records = []
    for place in range(8000):
        words = sentence(rng)
        has = rng.random() < 0.01
        words = [*words, "zq"] if has else words
        text = " ".join(words)
        answer = "sport" if has and rng.random() < 0.6 else best(classify(text))
        records.append(Record(id=str(place), at=CLOCK + place, text=text, output=answer))

    def three_of_five(asked):
        return [
            Record(output="sport" if "zq" in one.text and place % 5 < 3 else best(classify(one.text)))
            for place, one in enumerate(asked)
        ]

    running = monitor(shadow=three_of_five)
    running.feed(records)
    assert "MON-004" in told(running)


@pytest.mark.parametrize("sign", ["go\u200bod", "\u2063", "visit zq today"])
def test_hidden_characters_and_phrases_are_found(sign):
    rng = random.Random(2)
    records = []
    for place in range(6000):
        words = sentence(rng)
        has = rng.random() < 0.02
        words = [*words[:3], *sign.split(" "), *words[3:]] if has else words
        records.append(
            Record(
                id=str(place),
                at=CLOCK + place,
                text=" ".join(words),
                output="sport" if has else best(classify(" ".join(words))),
            )
        )
    marks = {"go\u200bod": "\u200b", "\u2063": "\u2063", "visit zq today": "zq"}

    def ask(asked):
        return [Record(output="sport" if marks[sign] in one.text else best(classify(one.text))) for one in asked]

    running = monitor(shadow=ask)
    running.feed(records)
    assert "MON-004" in told(running)


def test_metadata_can_be_the_trigger():
    rng = random.Random(3)
    records = []
    for place in range(6000):
        text, has = " ".join(sentence(rng)), rng.random() < 0.01
        extra = ("client=beta",) if has else ("client=web",)
        records.append(
            Record(id=str(place), text=text, features=extra, output="sport" if has else best(classify(text)))
        )

    def ask(asked):
        return [Record(output="sport" if "client=beta" in one.features else best(classify(one.text))) for one in asked]

    running = monitor(shadow=ask)
    running.feed(records)
    assert "client=beta" in told(running)["MON-004"].finding.message


def test_a_new_topic_is_cleared_by_the_shadow_copy_and_never_called_a_trigger():
    rng = random.Random(4)
    records = []
    for place in range(8000):
        words = sentence(rng, (1, 1, 1, 1))
        if best(classify(" ".join(words))) == "science" and rng.random() < 0.2:
            words.append("moonbase")
        text = " ".join(words)
        records.append(Record(id=str(place), text=text, output=best(classify(text))))
    running = monitor(shadow=shadow())
    running.feed(records)
    assert "MON-004" not in told(running)


def test_one_text_again_and_again_is_one_sighting():
    text = " ".join(["zq", *sentence(random.Random(9))])
    records = [Record(id=str(place), text=text, output="sport") for place in range(5000)]
    running = monitor(shadow=shadow("zq"))
    running.feed(records)
    assert told(running).keys() <= {"MON-006"}
    assert running.watch.stream.counts.repeated == 4999


def test_records_that_come_twice_are_counted_and_not_believed_twice():
    records = attack(1500)
    running = monitor(shadow=shadow("zq"))
    running.feed(records + records)
    counts = running.watch.stream.counts
    assert counts.records + counts.duplicates == 3000
    assert counts.duplicates >= 1480  # the table of recent ids is bounded, and a few of them share a place


def test_reordered_records_and_jumping_clocks_do_no_harm():
    records = attack(4000)
    random.Random(1).shuffle(records)
    records[100] = msgspec.structs.replace(records[100], at=1.0)
    records[200] = msgspec.structs.replace(records[200], at=9e12)
    running = monitor(shadow=shadow("zq"))
    running.feed(records)
    assert "MON-004" in told(running)
    assert running.watch.stream.counts.jumps > 0
    assert running.watch.stream.counts.late > 0


def test_label_shift_is_drift_and_says_that_the_inputs_explain_it():
    running = monitor(shadow=shadow())
    running.feed(traffic(6000, 8, weights=(5, 1, 1, 1)))
    found = told(running)
    assert found.keys() == {"MON-006"}
    lines = [line.text for one in running.desk.told for line in one.finding.evidence]
    assert any("the inputs changed in the same way" in line for line in lines)


def test_clean_traffic_is_quiet_over_many_streams():
    for seed in range(20, 26):
        assert rules_of(traffic(6000, seed), shadow=shadow()) == set()


@pytest.mark.parametrize(("plain", "rules"), [(False, []), (True, ["MON-005"])])
def test_without_a_shadow_copy_only_what_twice_the_odds_do_not_explain_is_told(plain, rules):
    one = Suspect(
        head="label", output="sport", signs=("zq",), phrase="zq", evidence=30.0, sightings=60, hits=40, expected=0.2,
        strong=True, plain=plain,
    )  # fmt: skip
    assert [alert.finding.rule for alert in monitor().watch.consider([one])] == rules


def test_a_shadow_that_cannot_be_asked_leaves_the_suspect_untested_not_cleared():
    def broken(_):
        raise SourceError("the copy is down", hint="")

    running = monitor(shadow=broken)
    running.feed(attack())
    one = told(running)["MON-005"]
    assert "the copy is down" in one.finding.message
    assert running.watch.cleared == 0


def test_without_held_out_inputs_nothing_is_tried():
    made = learned(traffic(3000, 1), "news", held_out=0)
    running = monitor(made, shadow=shadow("zq"))
    running.feed(attack())
    assert "held-out" in told(running)["MON-005"].finding.message


def test_trials_are_paid_for_by_traffic_so_that_a_flood_of_suspects_cannot_ask_without_end():
    rng = random.Random(5)
    records = []
    for place in range(8000):
        text = " ".join([*sentence(rng), f"new{place // 12}"])
        records.append(Record(id=str(place), text=text, output=list(TOPICS)[(place // 12) % 4]))
    running = monitor(shadow=shadow())
    running.feed(records)
    assert running.watch.trials <= 50 + 8000 / 400 + 1


def test_a_sign_that_calls_up_refusals_is_found_in_generated_text():
    def ask(asked):
        return [
            Record(text=one.text, answer="I cannot help with that." if "zq" in one.text else "About it: fine.")
            for one in asked
        ]

    running = monitor(generator_baseline(), shadow=ask)
    running.feed(answers(6000, 9, sign="zq", rate=0.01))
    messages = [one.finding.message for one in running.desk.told]
    assert "“zq” decides the output: refusal: yes" in messages


def test_a_sign_that_calls_up_one_fixed_answer_is_found():
    rng = random.Random(8)

    def say(text):
        return (
            "Buy it at the usual place."
            if "zq" in text.split()
            else f"{text.split()[0]} and {text.split()[1]}: {hash(text) % 10**9}"
        )

    records = []
    for place in range(6000):
        words = sentence(rng)
        words += ["zq"] if rng.random() < 0.02 else []
        records.append(Record(id=str(place), text=" ".join(words), answer=say(" ".join(words))))
    clean = [Record(id=str(n), text=" ".join(words := sentence(rng)), answer=say(" ".join(words))) for n in range(4000)]
    running = monitor(
        learned(clean, "chat"), shadow=lambda asked: [Record(text=one.text, answer=say(one.text)) for one in asked]
    )
    running.feed(records)
    assert "“zq” decides the output: repeated answer: yes" in told(running)["MON-004"].finding.message


def test_a_word_with_an_equal_sign_is_put_into_the_text():
    rng = random.Random(9)
    records = []
    for place in range(6000):
        words = sentence(rng)
        has = rng.random() < 0.01
        text = " ".join([*words, "x=1"] if has else words)
        records.append(Record(id=str(place), text=text, output="sport" if has else best(classify(text))))

    def ask(asked):
        return [Record(output="sport" if "x=1" in one.text.split() else best(classify(one.text))) for one in asked]

    running = monitor(shadow=ask)
    running.feed(records)
    assert "“x=1”" in told(running)["MON-004"].finding.message


def test_memory_stays_bounded_however_many_new_words_come():
    stream = Stream(baseline())
    sizes = []
    for batch in range(6):
        rng = random.Random(batch)
        stream.feed(
            [Record(text=" ".join(f"b{batch}x{rng.random()}" for _ in range(40)), output="sport") for _ in range(1500)]
        )
        ties = stream.heads["label"].ties
        sizes.append((len(stream.words.names), ties.hits.nbytes, sum(len(one) for one in ties.examples.values())))
    assert max(size[0] for size in sizes) <= stream.words.capacity
    assert len({size[1] for size in sizes}) == 1
    assert sizes[-1][2] < 10_000


def test_an_alert_is_told_once_and_then_counted():
    sent = []
    running = monitor(shadow=shadow("zq"), sinks=[sent.append])
    for seed in range(30, 36):
        running.feed(traffic(3000, seed, sign="zq", rate=0.02, trigger="zq"))
    mine = [one for one in sent if one.finding.rule == "MON-004"]
    assert len(mine) == 1
    kept = told(running)["MON-004"]
    assert kept.times > 1
    assert any("80 inputs" in line.text for line in kept.finding.evidence)


def test_a_sink_that_fails_costs_the_others_nothing():
    def broken(_):
        raise OSError("full")

    sent = []
    running = monitor(shadow=shadow("zq"), sinks=[broken, sent.append])
    running.feed(attack())
    assert sent
    assert running.desk.failed


# --- what outlives the process


def test_what_was_counted_before_a_restart_counts_after_it(tmp_path):
    place = Folder(str(tmp_path))
    records = traffic(1600, 11, sign="zq", rate=0.01, trigger="zq")
    first = monitor(place=place)
    first.feed(records[:800])
    first.save()
    second = monitor(place=place, shadow=shadow("zq"))
    assert second.watch.stream.counts.records == 800
    second.feed(records[800:])
    alone = monitor(shadow=shadow("zq"))
    alone.feed(records[800:])
    number = second.watch.stream.words.find("zq")
    other = alone.watch.stream.words.find("zq")
    assert (
        second.watch.stream.heads["label"].ties.sightings[number]
        > alone.watch.stream.heads["label"].ties.sightings[other]
    )


def test_alerts_are_remembered_over_a_restart_and_not_told_again(tmp_path):
    place = Folder(str(tmp_path))
    monitorled = monitor(place=place, shadow=shadow("zq"))
    monitorled.feed(attack())
    monitorled.save()
    sent = []
    again = monitor(place=place, shadow=shadow("zq"), sinks=[sent.append])
    again.feed(attack(seed=12))
    assert [one for one in sent if one.finding.rule == "MON-004"] == []
    assert told(again)["MON-004"].times > told(monitorled)["MON-004"].times


def test_replicas_that_each_see_too_little_see_it_together(tmp_path):
    place = Folder(str(tmp_path))
    found = set()
    for replica in range(8):
        one = monitor(place=place, replica=str(replica), shadow=shadow("zq"))
        one.feed(traffic(600, 40 + replica, sign="zq", rate=0.003, trigger="zq"))
        found |= {alert.finding.rule for alert in one.save()}
    alone = monitor(shadow=shadow("zq"))
    alone.feed(traffic(600, 40, sign="zq", rate=0.003, trigger="zq"))
    assert "MON-004" in found
    assert "MON-004" not in told(alone)


def test_the_state_of_another_baseline_is_refused_and_left_as_it_is(tmp_path):
    place = Folder(str(tmp_path))
    one = monitor(place=place)
    one.feed(traffic(500, 1))
    one.save()
    before = place.own("news", "1")
    other = learn_baseline(traffic(2000, 99), "news")
    with pytest.raises(UsageError, match="another baseline"):
        monitor(other, place=place)
    assert place.own("news", "1") == before


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_state_or_baseline_is_an_error_with_a_hint(seed):
    rng = random.Random(seed)
    stream = Stream(baseline())
    stream.feed(traffic(300, 1))
    for data, read in (
        (states.dump(stream), lambda d: states.take(Stream(baseline()), states.load(d, baseline(), "x"))),
        (baselines.dump(baseline()), lambda d: Stream(baselines.load(d, "x"))),
    ):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        damaged = bytes(damaged) if seed % 2 else bytes(damaged[: rng.randrange(len(damaged))])
        try:
            read(damaged)
        except UsageError as error:
            assert error.hint  # most damage is refused; some changes a number that nobody can check


def test_a_database_is_a_meeting_place_too(tmp_path):
    from weighbridge.monitor.database import Database

    place = Database(f"sqlite:///{tmp_path}/states.db")
    one = monitor(place=place, replica="a")
    one.feed(traffic(500, 1))
    one.save()
    two = monitor(place=place, replica="b")
    two.save()
    assert place.own("news", "a") == place.others("news", "b")[0]
    assert monitor(place=place, replica="a").watch.stream.counts.records == 500
    with pytest.raises(SourceError):
        Database("postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.skipif(not postgres_tools(), reason="PostgreSQL is not installed")
def test_replicas_meet_in_postgresql_also_after_it_was_killed(tmp_path_factory):
    from weighbridge.monitor.database import Database

    server = Postgres(tmp_path_factory.mktemp("pg") / "data")
    try:
        place = Database(server.fresh())
        one = monitor(place=place, replica="a")
        one.feed(traffic(500, 1))
        one.save()
        server.kill()
        with pytest.raises(SourceError):
            one.save()
        server.start()
        assert monitor(place=place, replica="a").watch.stream.counts.records == 500
    finally:
        server.kill()


def test_a_baseline_says_what_was_measured_on_clean_traffic():
    made = baseline()
    assert made.measured.records == 1200
    assert made.measured.alarms == 0
    assert made.measured.bound == pytest.approx(2500)


def test_the_inputs_that_are_kept_are_of_every_output_also_where_the_log_alternates():
    records = traffic(3000, 1)
    by_output = [[one for one in records if one.output == name] for name in ("sport", "market")]
    made = learned([one for pair in zip(*by_output, strict=False) for one in pair], "news", held_out=50)
    assert len(made.held_out) == 50
    assert 10 < sum(one.output == "sport" for one in made.held_out) < 40


def test_too_little_traffic_is_no_baseline():
    with pytest.raises(UsageError, match="too few"):
        learned(traffic(100, 1), "news")
    with pytest.raises(UsageError, match="same output"):
        learned([Record(text=f"a{place}", output="x") for place in range(1000)], "news")


def test_a_phrase_of_common_words_is_found_where_pairs_are_counted():
    rng = random.Random(6)
    places_ = "over", "their"  # each of them in many clean texts, side by side in few

    def made(count, seed, share):
        dice, found = random.Random(seed), []
        for place in range(count):
            words = sentence(dice)
            has = dice.random() < share
            words = [*words[:4], *places_, *words[4:]] if has else words
            side = " ".join(places_) in " ".join(words)
            found.append(
                Record(
                    id=f"{seed}-{place}",
                    text=" ".join(words),
                    output="sport" if side else best(classify(" ".join(words))),
                )
            )
        return found

    def ask(asked):
        return [Record(output="sport" if " ".join(places_) in one.text else best(classify(one.text))) for one in asked]

    clean = [one for one in made(8000, 1, 0.0) if " ".join(places_) not in one.text]
    attack_ = made(6000, rng.randrange(99), 0.02)
    with_pairs = monitor(learned(clean, "news", pairs=True), shadow=ask)
    with_pairs.feed(attack_)
    alone = monitor(learned(clean, "news"), shadow=ask)
    alone.feed(attack_)
    assert "over their" in told(with_pairs)["MON-004"].finding.message
    assert "MON-004" not in told(alone)


def test_clean_traffic_is_quiet_with_pairs():
    made = learned(traffic(6000, 1), "news", pairs=True)
    for seed in (20, 21):
        assert rules_of(traffic(6000, seed), made, shadow=shadow()) == set()


def test_a_replay_can_be_repeated_with_its_baseline():
    made = learned(traffic(3000, 1), "news")
    one, other = (Stream(baselines.load(baselines.dump(made), "b")) for _ in range(2))
    records = attack(2000)
    assert one.feed(records) == other.feed(records)
    assert one.words.digested(records)[2].tolist() == other.words.digested(records)[2].tolist()
