import json
from dataclasses import asdict

from keras_transformer.data import FilterReport


def test_the_first_five_lines_of_a_reason_are_kept():
    report = FilterReport()
    report.leave_out("too long", [3, 7])
    report.leave_out("too long", [11, 13, 17, 19])
    report.leave_out("too long", [])
    report.leave_out("copy", [])
    assert report.left_out == {"too long": 6}
    assert report.first_lines == {"too long": [3, 7, 11, 13, 17]}


def test_it_is_a_readable_table():
    report = FilterReport(read=1234, kept=1227)
    report.leave_out("duplicate", [31])
    report.leave_out("too long", range(2, 8))
    assert str(report).splitlines() == [
        "lines read      1234",
        "pairs kept      1227",
        "duplicate          1  (line 31)",
        "too long           6  (lines 2, 3, 4, 5, 6, ...)",
    ]


def test_it_survives_json():
    report = FilterReport(read=5, kept=4)
    report.leave_out("not UTF-8", [2])
    assert FilterReport(**json.loads(json.dumps(asdict(report)))) == report
