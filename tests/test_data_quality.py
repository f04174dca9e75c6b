"""Markup, near-duplicates, and the report on a table: against brute force and by hand."""

from __future__ import annotations

import html
import json
import random
from itertools import combinations

import numpy as np
import pytest

from engine.text import (
    TextTable,
    clean_text,
    find_problems,
    read_table,
    remove_duplicates,
    remove_problems,
    similar_pairs,
    strip_markup,
)
from engine.text.quality import KINDS

# --- strip_markup ---


@pytest.mark.parametrize(
    ("raw", "stripped"),
    [
        ("", ""),
        ("plain & simple", "plain & simple"),
        ("<p>one</p><p>two</p>", " one  two "),
        ("<b>w</b>ord and <EM class=x>more</EM>", "word and more"),
        ("one<br>two<br/>three<BR />four", "one two three four"),
        ('<a href="http://x.y/?a=1&b=2" target=_blank>link</a>!', "link!"),
        ("<img src='a.png' alt>after", " after"),
        ('<input type="checkbox" checked>x', " x"),
        ("a<!-- <b>hidden</b> -->b", "ab"),
        ("a<script type='x'>if (a < b) { '</p>' }</script >b", "a b"),
        ("a<style>p > b {}</STYLE>b", "a b"),
        ("<script>never ends", " never ends"),
        ("</script>x<script>y", " x y"),
        ("<!DOCTYPE html><html>x</html>", "  x "),
        ("<?xml version='1.0'?><doc><item n='1'>x</item></doc>", "   x  "),
        ("<ns:item id='3'>x", " x"),
        ("<item/>x", " x"),
        ("a<![CDATA[ <b> &amp; ]]>b", "a <b> &amp; b"),
        ("<p>我的卡<br>丢了</p>", " 我的卡 丢了 "),
        ("Fish &amp; chips &#163;5 &#xA3;6 &euro;7 &nbsp;x", "Fish & chips £5 £6 €7 \xa0x"),
        ("&lt;#&gt;", "<#>"),
        ("&lt;b&gt;", "<b>"),  # one level
        ("&amp;lt;", "&lt;"),
        ("&#xD800;", "\ufffd"),
        ('<p title="a > b">x</p>', " x "),
        ("<p\nclass='a'\n>x", " x"),
    ],
)
def test_markup_goes(raw: str, stripped: str) -> None:
    assert strip_markup(raw) == stripped


@pytest.mark.parametrize(
    "text",
    [
        "a < b", "a<b", "a<b>c", "a<b and c>d", "x<y and y>z", "i<3 you", "<3", "</3", ">_<", "<-- see", "1 <2> 3",
        "List<String>", "<user>", "<john@example.com>", "<https://example.com/a>", "AT&T", "?a=1&copy=2&lt=3", "a&b;",
        "&notanentity;", "<!-- never ends", "<![CDATA[ never ends", "<p", "<p class=", '<p title="x', "<", "<>", "</>",
        "< p >", "<table of contents>", "<b a=1 or c>", "if a<i and b>i", "</p x>", "&", "&#;", "价格<五>元",
    ],
)  # fmt: skip
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert strip_markup(text) == text


def test_markup_of_a_kind_is_known_by_the_rest_of_the_text() -> None:
    assert strip_markup("<b>bold</b>") == "bold" and strip_markup("<b>bold") == "<b>bold"
    assert strip_markup("<user>x</user>") == " x " and strip_markup("<user>x") == "<user>x"
    assert strip_markup('<q cite="x">y') == "y"
    assert strip_markup("<b>x</b>: a<b and c>d") == "x: a<b and c>d"


def test_escaped_text_comes_back_and_tags_around_it_go() -> None:
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choice("ab<>&;\"'#3 我") for _ in range(rng.randrange(20)))
        assert strip_markup(html.escape(text)) == text
        assert strip_markup(f"<span class='x'>{html.escape(text)}</span>") == text


def test_stripping_random_pieces_never_fails() -> None:
    rng = random.Random(1)
    pieces = [
        "<",
        ">",
        "</",
        "/>",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<b",
        "b",
        "=",
        '"',
        "'",
        " ",
        "&",
        ";",
        "&lt;",
    ]
    for _ in range(3000):
        text = "".join(rng.choice(pieces) for _ in range(rng.randrange(15)))
        clean_text(strip_markup(text))


@pytest.mark.parametrize(
    "piece", ["<!--", "<script>", '<a x="', "<a b=", "<", "<a ", "&", "<![CDATA[", "</a", "<a\n\n"]
)
def test_long_texts_of_unfinished_markup(piece: str) -> None:
    text = piece * 20_000  # would take minutes if each piece searched to the end
    assert len(strip_markup(text)) <= len(text)


def test_markup_errors_and_tables() -> None:
    with pytest.raises(TypeError, match=r"\[strip_markup\] text: expected a string, got int"):
        strip_markup(3)  # type: ignore[arg-type]
    table = TextTable(["<p>a</p> &amp;  b"], pairs=["<i>c</i>"])
    assert (table.clean().texts, table.clean().pairs) == (["<p>a</p> &amp; b"], ["<i>c</i>"])
    assert (table.clean(markup=True).texts, table.clean(markup=True).pairs) == (["a & b"], ["c"])


# --- similar_pairs ---


def shingles(text: str, n: int) -> set[str]:
    return {text[i : i + n] for i in range(len(text) - n + 1)} if len(text) >= n else {text}


def brute_force(texts: list[str], threshold: float, n: int) -> dict[tuple[int, int], float]:
    sets = [shingles(text, n) for text in texts]
    found = {}
    for i, j in combinations(range(len(texts)), 2):
        similarity = len(sets[i] & sets[j]) / len(sets[i] | sets[j])
        if similarity >= threshold:
            found[i, j] = similarity
    return found


def variants(seed: int, count: int = 150) -> list[str]:
    """Sentences in several scripts, and copies of them with a few characters changed."""
    rng = random.Random(seed)
    alphabet = "abcde 我的卡丢了🙂é"
    texts = ["".join(rng.choice(alphabet) for _ in range(rng.randrange(40))) for _ in range(count // 3)]
    while len(texts) < count:
        text = list(rng.choice(texts))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(text) + 1)
            text[at : at + rng.randrange(2)] = rng.choice(alphabet)
        texts.append("".join(text))
    return texts


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.75, 0.8, 1.0])
def test_similar_pairs_are_those_of_brute_force(n: int, threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = variants(n)
    expected = brute_force(texts, threshold, n)
    assert len(expected) > 20
    for chunk in (1 << 20, 50):
        monkeypatch.setattr("engine.text.similarity._CHUNK", chunk)
        left, right, similarity = similar_pairs(texts, threshold, n)
        assert list(zip(left.tolist(), right.tolist())) == sorted(expected)
        np.testing.assert_allclose(similarity, [expected[pair] for pair in sorted(expected)], rtol=0, atol=1e-15)
    assert (left.dtype, right.dtype, similarity.dtype) == (np.int64, np.int64, np.float64)
    left, right, _ = similar_pairs(texts, threshold, n, first=40)
    assert list(zip(left.tolist(), right.tolist())) == [pair for pair in sorted(expected) if pair[0] < 40]


def test_similar_pairs_of_long_texts() -> None:
    rng = random.Random(5)
    words = ["".join(rng.choice("abcdefghij") for _ in range(5)) for _ in range(400)]
    texts = [" ".join(rng.choices(words, k=rng.randrange(100, 300))) for _ in range(20)]
    texts += [text[: len(text) * 9 // 10] + rng.choice(texts)[: len(text) // 12] for text in texts for _ in range(3)]
    left, right, _ = similar_pairs(texts, 0.7)
    assert list(zip(left.tolist(), right.tolist())) == sorted(brute_force(texts, 0.7, 3))


def test_similar_pairs_of_pairs() -> None:
    texts = variants(7, 90)
    seconds = texts[1:] + texts[:1]
    seconds[40:80] = seconds[:40]
    sets = [{(0, s) for s in shingles(a, 3)} | {(1, s) for s in shingles(b, 3)} for a, b in zip(texts, seconds)]
    expected = [(i, j) for i, j in combinations(range(90), 2) if len(sets[i] & sets[j]) >= 0.4 * len(sets[i] | sets[j])]
    assert len(expected) > 10
    left, right, _ = similar_pairs(texts, 0.4, seconds=seconds)
    assert list(zip(left.tolist(), right.tolist())) == expected


def test_similar_pairs_of_little_and_of_wrong_arguments() -> None:
    for texts in ([], [""], ["a"], ["ab", "cd"]):
        assert [array.size for array in similar_pairs(texts)] == [0, 0, 0]
    for texts in (["", ""], ["a", "a"], ["\ud800", "\ud800"], ["我", "我"]):
        assert [array.tolist() for array in similar_pairs(texts)] == [[0], [1], [1.0]]
    for threshold in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"\[similar_pairs\] threshold: expected a number in \(0, 1\]"):
            similar_pairs(["a"], threshold)
    with pytest.raises(ValueError, match="shingle: expected at least 1"):
        similar_pairs(["a"], shingle=0)
    with pytest.raises(ValueError, match="seconds: expected 1, one for each text, got 0"):
        similar_pairs(["a"], seconds=[])
    with pytest.raises(TypeError, match="got one string"):
        similar_pairs("ab")


# --- find_problems ---

TEXTS = [
    "I lost my card yesterday, what do I do?",  # 0
    "Where is the nearest cash machine",  # 1
    "  ",  # 2: empty
    "I lost my card yesterday,  what do I do?",  # 3: 0 again
    "I LOST my card yesterday - what do I do",  # 4: 0 without signs
    "I lost my card yesterday, so what do I do?",  # 5: nearly 0, under another label
    "top\x92up \ufffd",  # 6: control
    "<p>fees &amp; limits</p>",  # 7: markup
    "long " * 20,  # 8
    "我的银行卡昨天在地铁上丢了，现在应该怎么办才好？",  # 9
    "我的银行卡昨天在地铁上丢了。现在应该怎么办才好",  # 10: 9 with other signs
    ":-)",  # 11
    ":-(",  # 12: signs alone are compared as they are
    "",  # 13: empty
]
LABELS = ["lost", "atm", "x", "lost", "lost", "stolen", "x", "fees", "x", "lost", "lost", "x", "x", "rare"]


def table_of(texts: list[str], labels: list[str] | None = None, **more: object) -> TextTable:
    return TextTable(texts, labels, source="f.csv", lines=[row + 2 for row in range(len(texts))], **more)  # type: ignore[arg-type]


def rows(report, kind):  # type: ignore[no-untyped-def]
    """(row, row of the other or None) of each problem of a kind."""
    return [(p.row, None if p.other is None else p.other.row) for p in report.of(kind)]


def test_every_kind_of_problem() -> None:
    odd = ["a\x00", "b\ud800", "c\ufffd", "d\u200b", "e\u200d", "f\t", "\ufeff"]
    assert rows(find_problems(TextTable(odd)), "control") == [(0, None), (1, None), (2, None), (3, None), (6, None)]
    report = find_problems(table_of(TEXTS, LABELS), max_characters=60)
    assert rows(report, "empty") == [(2, None), (13, None)]
    assert rows(report, "control") == [(6, None)]
    assert rows(report, "markup") == [(7, None)]
    assert rows(report, "long") == [(8, None)]
    assert rows(report, "duplicate") == [(3, 0)]
    assert rows(report, "near_duplicate") == [(4, 0), (5, 0), (10, 9)]
    assert rows(report, "label_conflict") == [(5, 0)]
    assert rows(report, "rare_label") == [(1, None), (5, None), (7, None), (13, None)]
    assert rows(report, "leak") == rows(report, "near_leak") == []
    similarity = [p.other.similarity for p in report.of("near_duplicate")]
    plain = [clean_text(t.casefold().replace(",", " ").replace("?", "")) for t in (TEXTS[0], TEXTS[5])]
    assert similarity == [1.0, pytest.approx(brute_force(plain, 0.1, 3)[0, 1]), 1.0]
    assert report.counts() == {kind: len(report.of(kind)) for kind in KINDS}
    problem = report.of("duplicate")[0]
    assert (problem.line, problem.text, problem.label, problem.other.line) == (5, TEXTS[3], "lost", 2)


def test_the_report_as_text_and_as_json() -> None:
    report = find_problems(table_of(TEXTS, LABELS), {"held-out": table_of([TEXTS[1]], ["atm"])}, max_characters=60)
    shown = str(report)
    assert shown.startswith("14 rows of f.csv\n")
    assert "near duplicate       3" in shown
    assert f"line 5 {TEXTS[3]!r} = line 2 {TEXTS[0]!r}" in shown
    assert f"line 7 {TEXTS[5]!r} [stolen] ~0." in shown and "[lost]" in shown
    assert f"line 3 {TEXTS[1]!r} [atm] = held-out line 2 {TEXTS[1]!r} [atm]" in shown
    assert r"'top\x92up \ufffd'" in shown  # made visible
    assert max(map(len, shown.splitlines())) < 200
    content = json.loads(json.dumps(report.to_dict()))
    assert content["rows"] == 14 and content["similarity"] == 0.8 and content["counts"] == report.counts()
    assert len(content["problems"]) == sum(report.counts().values())
    leak = next(p for p in content["problems"] if p["kind"] == "leak")
    assert leak["other"] == {
        "split": "held-out", "row": 0, "line": 2, "where": "line 2", "text": TEXTS[1], "pair": None, "label": "atm", "similarity": 1.0,
        "file": None,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"\[QualityReport.of\] kinds: expected some of empty, .*, got 'typo'"):
        report.of("typo")  # type: ignore[arg-type]


def test_leaks_between_splits() -> None:
    train = table_of([TEXTS[0], TEXTS[1], TEXTS[9], "", "quite another text"], list("abcde"))
    test = table_of([TEXTS[5], TEXTS[3], "", TEXTS[10]], list("azbc"))
    report = find_problems(train, test)
    assert rows(report, "leak") == [(0, 1)]  # the equal one, not the first that is nearly equal
    assert rows(report, "near_leak") == [(2, 3)]
    assert [p.other.split for p in report.of("near_leak")] == ["test"]
    assert report.counts()["label_conflict"] == report.counts()["duplicate"] == 0  # those are of one table
    two = find_problems(train, {"validation": test[:1], "test": test[3:]})
    assert [(p.row, p.other.split) for p in two.of("near_leak")] == [(0, "validation"), (2, "test")]
    # Of several rows, the most alike is named, and of those the first.
    test = TextTable([TEXTS[5], TEXTS[4], TEXTS[4], TEXTS[0], TEXTS[0]])
    assert rows(find_problems(table_of([TEXTS[0], TEXTS[0].upper()]), test), "leak") == [(0, 3)]
    assert rows(find_problems(table_of([TEXTS[0].upper()]), test), "near_leak") == [(0, 1)]
    # Nearly equal texts within the other split are not this table's problem.
    assert sum(find_problems(table_of(["x y z"] * 2, ["a"] * 2), test).counts().values()) == 1


def test_a_near_duplicate_names_the_row_that_is_most_alike() -> None:
    texts = ["abcdefghijklmnopqrst", "fghijklmnopqrstuvwxy", "efghijklmnopqrstuvwx", "fghijklmnopqrstuvwxy!"]
    assert rows(find_problems(TextTable(texts[:2]), similarity=0.5), "near_duplicate") == [(1, 0)]
    similar = brute_force(texts[:3], 0.6, 3)
    assert sorted(similar) == [(0, 2), (1, 2)] and similar[0, 2] < similar[1, 2]
    assert rows(find_problems(TextTable(texts), similarity=0.6), "near_duplicate") == [(2, 1), (3, 1)]


def test_a_near_duplicate_is_compared_with_rows_that_stay() -> None:
    # Each is like the next, the ends are not alike: the middle goes, the ends stay.
    chain = ["abcdefghijklmnopqrst", "cdefghijklmnopqrstuv", "efghijklmnopqrstuvwx"]
    assert sorted(brute_force(chain, 0.75, 3)) == [(0, 1), (1, 2)]
    report = find_problems(TextTable(chain), similarity=0.75)
    assert rows(report, "near_duplicate") == [(1, 0)]
    kept, removed = remove_problems(TextTable(chain), report, ["near_duplicate"])
    assert (kept.texts, removed) == ([chain[0], chain[2]], (1,))


@pytest.mark.parametrize("seed", range(5))
def test_after_removal_nothing_is_left_to_remove(seed: int) -> None:
    rng = random.Random(seed)
    texts = variants(seed, 300)
    train, test = TextTable(texts, [rng.choice("abc") for _ in texts]), TextTable(variants(seed, 50))
    report = find_problems(train, test, similarity=0.7)
    assert min(report.counts()[kind] for kind in ("near_duplicate", "label_conflict", "leak", "near_leak")) > 0
    for kind in KINDS:
        kept, removed = remove_problems(train, report, [kind])
        assert len(kept) + len(removed) == 300
        assert find_problems(kept, test, similarity=0.7).counts()[kind] == 0 or kind == "rare_label"
    kept, removed = remove_problems(train, report, KINDS)
    assert set(removed) == {p.row for p in report.problems} | {p.other.row for p in report.of("label_conflict")}
    assert not any(n for kind, n in find_problems(kept, test, similarity=0.7).counts().items() if kind != "rare_label")
    kept, removed = remove_problems(train, report, [])
    assert kept == train and removed == ()


def test_exact_duplicates_are_those_of_remove_duplicates() -> None:
    table = TextTable(["a  b", "c", "a b ", "Ａ b", "A B", "c", "", " "])
    _, duplicates = remove_duplicates(table)
    assert tuple(row for row, _ in rows(find_problems(table), "duplicate")) == (2, 5) == duplicates.removed[:2]
    assert rows(find_problems(table), "near_duplicate") == [(3, 0), (4, 0)]


def test_conflicts() -> None:
    table = TextTable(["same text"] * 5, ["a", "b", "b", "a", "c"])
    report = find_problems(table)
    assert rows(report, "label_conflict") == [(1, 0), (2, 0), (3, 1), (4, 0)]
    kept, removed = remove_problems(table, report, ["label_conflict"])
    assert len(kept) == 0 and removed == (0, 1, 2, 3, 4)
    # Two rows that stand under several labels clash as sets.
    table = TextTable(["same text"] * 3, ["a|b", "b | a", "a"])
    assert rows(find_problems(table), "label_conflict") == [(1, 0), (2, 0)]
    report = find_problems(table, label_separator="|")
    assert rows(report, "label_conflict") == [(2, 0)]
    table = TextTable(["one", "two", "three"], ["a|b", "a", ""])
    assert rows(find_problems(table, label_separator="|"), "rare_label") == [(0, None)]
    assert rows(find_problems(table, label_separator="|", min_label_count=1), "rare_label") == []


def test_a_pair_counts_as_one_text() -> None:
    same, other = "Is the sky blue today?", "Does the river run north?"
    table = TextTable([same, same, same, same], list("aaba"), pairs=[other, same, other + " ", ""])
    report = find_problems(table)
    assert rows(report, "duplicate") == [(2, 0)]
    assert rows(report, "near_duplicate") == []
    assert rows(report, "label_conflict") == [(2, 0)]
    assert rows(report, "empty") == [(3, None)]
    assert report.of("duplicate")[0].pair == other + " "
    assert f"row 2 {same!r} / {other + ' '!r} = row 0" in str(report)
    assert rows(find_problems(table, TextTable([same], pairs=[same])), "leak") == [(1, 0)]
    # What stands in the other place is another text: neither order nor a shift of the border makes a near-duplicate.
    swapped = TextTable([same, other, same + " " + other], pairs=[other, same, ""])
    assert rows(find_problems(swapped), "near_duplicate") == []
    longer = TextTable([same, same.lower(), same], pairs=[other, other + "!", "Does that river run north?"])
    assert rows(find_problems(longer), "near_duplicate") == [(1, 0), (2, 0)]
    with pytest.raises(ValueError, match=r"test: expected second texts, as in the table, got none in 'test'"):
        find_problems(table, TextTable(["a"]))


def test_nothing_to_find() -> None:
    report = find_problems(TextTable([]), TextTable([]))
    assert report.rows == 0 and report.problems == () and str(report).startswith("0 rows\n")
    assert sum(find_problems(TextTable(["one text", "and another"])).counts().values()) == 0
    assert len(remove_problems(TextTable([]), report, KINDS)[0]) == 0


def test_wrong_arguments() -> None:
    table = TextTable(["a", "b"])
    report = find_problems(table)
    for name, value in (
        ("similarity", 0.0),
        ("similarity", 2.0),
        ("shingle", 0),
        ("max_characters", 0),
        ("min_label_count", 0),
    ):
        with pytest.raises(ValueError, match=rf"\[find_problems\] {name}: expected"):
            find_problems(table, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[remove_problems\] kinds: .* got 'leaks'"):
        remove_problems(table, report, ["leaks"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="got one string"):
        remove_problems(table, report, "leak")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a report on 1 row, got one on 2"):
        remove_problems(table[:1], report, [])
    other = find_problems(TextTable(["x", ""]))
    with pytest.raises(ValueError, match="expected the report on this table, got one with another text in row 1"):
        remove_problems(table, other, ["empty"])


def test_files_without_lines_have_rows(tmp_path):
    columns = {"text": ["a b c d e f g h", "another text", "a b c d e f g h"], "label": ["x", "y", "x"]}
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    book = pytest.importorskip("openpyxl").Workbook()
    for row in [[*columns], *zip(*columns.values())]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    for name, said in (
        ("a.parquet", "row 2 'a b c d e f g h' = row 0 'a"),
        ("a.xlsx", "row 4 'a b c d e f g h' = row 2 'a"),
    ):
        (problem,) = (report := find_problems(read_table(tmp_path / name))).of("duplicate")
        assert said in str(report) and problem.where == said[:5] and "line " not in str(report)
    both = TextTable(["b c d e", "b c d e"], source=["a.csv", "b.csv"], lines=[2, 3])
    assert "line 3 of b.csv 'b c d e' = line 2 of a.csv 'b" in str(find_problems(both))
    assert "row 1 'b c d e' = row 0 'b" in str(find_problems(TextTable(["b c d e", "b c d e"])))
