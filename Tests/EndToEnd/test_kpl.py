"""KPL's aggregated records: taken apart when they are right, plain records when they are not."""

import hashlib

import pytest

from processed import IN_ONE_OBJECT, Processed, transform_at_once
from processors import (
    APPEND_DELIMITER,
    FIXED_32,
    FIXED_64,
    GROUP_START,
    JSON_OBJECTS,
    KPL_MAGIC,
    LENGTH_DELIMITED,
    PASS_ON,
    VARINT,
    field,
    kpl,
    kpl_frame,
    kpl_message,
    kpl_record,
    tag,
    varint,
)
from transform_programs import FAILING, IDENTITY

pytest_plugins = ["processed_fixtures", "transform_fixtures"]

MOST_64_BITS = 2**64 - 1


# MARK: The tests' own ground


def test_the_encoder_is_right_about_a_record_worked_out_by_hand():
    """Every byte of it follows from the encoding's description."""
    message = kpl_message([kpl_record(b"ab", hash_key=300)], keys=["k"], hash_keys=["7"])
    assert message == bytes.fromhex("0a016b 120137 1a09 0800 10ac02 1a026162".replace(" ", ""))
    assert kpl_frame(message) == KPL_MAGIC + message + hashlib.md5(message).digest()


# MARK: Taken apart


def test_the_data_of_every_record_is_delivered_and_nothing_else(process):
    stream = process(PASS_ON)
    stream.put(b"before ", kpl(b"a ", b"b ", b"c "), b"between ", kpl(b"d "), b"after")
    stream.settle(b"before a b c between d after")


def test_records_are_records_of_their_own_also_empty_ones(process):
    stream = process(PASS_ON, APPEND_DELIMITER, BufferingHints=IN_ONE_OBJECT)
    stream.put(kpl(b"a", b"", b"b"), b"c")
    stream.settle(b"a\n\nb\nc")


def test_keys_and_tags_are_passed_over(process):
    message = kpl_message(
        [
            kpl_record(b"a ", key=1, hash_key=0, tags={"name": "value", "": ""}),
            kpl_record(b"b ", key=0),
        ],
        keys=["first", "second", "ümlaut"],
        hash_keys=["0", str(2**128 - 1)],
    )
    stream = process(PASS_ON)
    stream.put(kpl_frame(message), b"end")
    stream.settle(b"a b end")


def test_the_order_of_fields_means_nothing(process):
    """Also tables behind the records that point into them, and fields that are not known."""
    turned = field(3, b"a ") + field(1, 0)
    message = field(3, turned) + field(1, b"key") + field(3, field(9, 7) + kpl_record(b"b "))
    message += field(15, b"unknown") + field(14, 3)
    message += tag(13, FIXED_64) + bytes(8) + tag(12, FIXED_32) + bytes(4)
    stream = process(PASS_ON)
    stream.put(kpl_frame(message), b"end")
    stream.settle(b"a b end")


def test_lengths_may_be_encoded_longer_than_they_need_to_be(process):
    """Protocol buffers allow it: a varint of up to ten bytes."""
    long_five = bytes([0x85, 0x80, 0x80, 0x00])
    record = field(1, 0) + tag(3, LENGTH_DELIMITED) + long_five + b"data "
    stream = process(PASS_ON)
    stream.put(kpl_frame(kpl_message([record])), b"end")
    stream.settle(b"data end")


def test_five_hundred_records_and_large_ones_are_taken_apart(process):
    many = [b"<%d>" % number for number in range(500)]
    large = [bytes([65 + number]) * 300_000 for number in range(3)]
    stream = process(PASS_ON)
    stream.put(kpl(*many), kpl(*large), b"end")
    stream.settle(b"".join([*many, *large, b"end"]))


def test_bytes_of_all_values_come_through(process):
    parts = [bytes(range(256)), b"\0", KPL_MAGIC, b"\xff" * 1_000]
    stream = process(PASS_ON)
    stream.put(kpl(*parts), b"end")
    stream.settle(b"".join([*parts, b"end"]))


def test_an_aggregated_record_inside_another_stays_whole(process):
    inner = kpl(b"inner")
    stream = process(PASS_ON)
    stream.put(kpl(b"a ", inner, b" b "), b"end")
    stream.settle(b"a " + inner + b" b end")


# MARK: Plain records

ONE = kpl_message([kpl_record(b"data")])

DIGEST = hashlib.md5(ONE).digest()


def lying(number: int, length: int, present: bytes = b"data") -> bytes:
    """A field whose length is another than that of its value."""
    return tag(number, LENGTH_DELIMITED) + varint(length) + present


MALFORMED = {
    "a record ends early": kpl_message([kpl_record(b"data")])[:-1],
    "data is longer than its record": kpl_message([field(1, 0) + lying(3, 5)]),
    "data is longer than any memory": kpl_message([field(1, 0) + lying(3, 2**40)]),
    "data has the largest signed length": kpl_message([field(1, 0) + lying(3, 2**63 - 1)]),
    "data has a negative length": kpl_message([field(1, 0) + lying(3, MOST_64_BITS)]),
    "a record is longer than the message": field(1, b"key") + lying(3, 2**31),
    "a record has a negative length": field(1, b"key") + lying(3, MOST_64_BITS),
    "a record follows that ends early": ONE + lying(3, 100),
    "a key is longer than the message": lying(1, 1_000) + field(3, kpl_record(b"data")),
    "a tag is longer than its record": kpl_message([kpl_record(b"data") + lying(4, 99)]),
    "a length has no end": field(1, b"key") + tag(3, LENGTH_DELIMITED) + b"\xff\xff",
    "a length of eleven bytes": tag(3, LENGTH_DELIMITED) + b"\x80" * 10 + b"\0" + ONE,
    "a length that overflows": tag(3, LENGTH_DELIMITED) + b"\xff" * 9 + b"\x7f" + ONE,
    "a tag that overflows": b"\xff" * 10 + b"\x7f" + ONE,
    "an index that overflows": kpl_message([tag(1, VARINT) + b"\xff" * 11 + field(3, b"data")]),
    "a tag with nothing behind it": ONE + tag(3, LENGTH_DELIMITED),
    "a fixed number that ends early": ONE + tag(12, FIXED_64) + bytes(7),
    "a wire type that does not exist": ONE + tag(12, 7),
    "a group that does not end": ONE + tag(12, GROUP_START) + field(1, 1),
    "a field with the number 0": ONE + bytes([LENGTH_DELIMITED, 1, 0]),
    "a record that is a number": field(1, b"key") + field(3, 7),
    "data that is a number": kpl_message([field(1, 0) + field(3, 7)]),
    "a record without data": kpl_message([field(1, 0)]),
    "text": b"just some text",
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_a_message_that_is_malformed_makes_a_plain_record(process, message):
    """Its checksum is right; none of its records is taken out."""
    record = kpl_frame(message)
    stream = process(PASS_ON)
    stream.put(record, b"end")
    stream.settle(record + b"end")


@pytest.mark.parametrize(
    "record",
    [
        KPL_MAGIC,
        KPL_MAGIC + bytes(15),
        KPL_MAGIC + bytes(16),
        KPL_MAGIC + ONE,
        kpl_frame(ONE)[:-1],
        kpl_frame(ONE) + b"\0",
        kpl_frame(ONE, digest=bytes(16)),
        kpl_frame(ONE, digest=DIGEST[:-1] + bytes([DIGEST[-1] ^ 1])),
        kpl_frame(ONE, digest=hashlib.md5(KPL_MAGIC + ONE).digest()),
        kpl_frame(ONE.replace(b"data", b"date"), digest=DIGEST),
        kpl_frame(ONE)[1:],
        b"\0" + kpl_frame(ONE),
        KPL_MAGIC[:3] + b"\xc3" + kpl_frame(ONE)[4:],
    ],
    ids=lambda record: record.hex(),
)
def test_a_record_with_a_wrong_frame_is_a_plain_one(process, record):
    stream = process(PASS_ON)
    stream.put(record, b"end")
    stream.settle(record + b"end")


def test_a_plain_record_fails_as_such_in_the_steps_that_follow(process):
    stream = process(JSON_OBJECTS)
    record = kpl_frame(kpl_message([kpl_record(b"{}")]), digest=bytes(16))
    stream.put(record, b"{}")
    stream.settle(b"{}", record)


@pytest.mark.parametrize("processors", [[], [APPEND_DELIMITER]], ids=["none", "delimiter"])
def test_streams_without_processing_leave_aggregated_records_as_they_are(process, processors):
    stream = process(*processors)
    record = kpl(b"a", b"b")
    stream.put(record)
    stream.settle(record)


# MARK: With a transform


def test_a_transform_gets_the_records_one_by_one(bench):
    """Their ids end in their number in six digits, from 0."""
    name = bench.programs.write("once", IDENTITY)
    function = transform_at_once(name)
    stream = Processed.create(bench.hydrant, function)
    stream.put(kpl(b"a ", b"b ", b"c "))
    stream.settle(b"a b c ")
    ids = [each for event in bench.programs.events(name) for each in event.ids]
    assert all(each.isdecimal() for each in ids)
    ids.sort(key=int)
    assert [each[-6:] for each in ids] == ["000000", "000001", "000002"]
    assert len({each[:-6] for each in ids}) == 1


def test_a_record_that_a_transform_refuses_is_set_apart_without_the_others(bench):
    name = bench.programs.write("once", FAILING)
    function = transform_at_once(name)
    stream = Processed.create(bench.hydrant, function)
    stream.put(kpl(b"a", b"b"))
    assert [each.raw for each in stream.wait_for_failures(2)] == [b"a", b"b"]
