"""What a server answers, counted where clients hear it."""

from collections import Counter


class Answers:
    """Counts what every call of a client was answered."""

    def __init__(self, client) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        """By operation and by OK or the error's code."""
        self.records: Counter[str] = Counter()
        """Records that were taken, by stream, as all that follows."""
        self.bytes: Counter[str] = Counter()
        self.puts: Counter[str] = Counter()
        """Calls of which records were taken."""
        self.throttled: Counter[str] = Counter()
        self.single_calls: Counter[str] = Counter()
        self.single_bytes: Counter[str] = Counter()
        self.batch_calls: Counter[str] = Counter()
        self.batch_records: Counter[str] = Counter()
        self.batch_bytes: Counter[str] = Counter()
        client.meta.events.register("before-parameter-build.firehose", _remember)
        client.meta.events.register("after-call.firehose", self._note)

    def _note(self, *, parsed: dict, model, context: dict, **_) -> None:
        code = parsed.get("Error", {}).get("Code", "OK")
        codes = [each.get("ErrorCode", "OK") for each in parsed.get("RequestResponses", [])]
        # A batch of which nothing was taken is refused, although its status is 200.
        self.calls[model.name, code if "OK" in codes or not codes else codes[0]] += 1
        asked = context["asked"]
        stream = asked.get("DeliveryStreamName")
        if code == "ResourceNotFoundException":
            return
        if model.name == "PutRecord":
            self.single_calls[stream] += 1
            self._note_records(stream, [asked["Record"]["Data"]], [code == "OK"])
            self.single_bytes[stream] += len(asked["Record"]["Data"]) if code == "OK" else 0
        elif model.name == "PutRecordBatch":
            assert code == "OK", code
            self.batch_calls[stream] += 1
            data = [each["Data"] for each in asked["Records"]]
            taken = ["RecordId" in each for each in parsed["RequestResponses"]]
            self._note_records(stream, data, taken)
            kept = [len(each) for each, was_taken in zip(data, taken, strict=True) if was_taken]
            self.batch_records[stream] += len(kept)
            self.batch_bytes[stream] += sum(kept)

    def _note_records(self, stream: str, data: list[bytes], taken: list[bool]) -> None:
        kept = [len(each) for each, was_taken in zip(data, taken, strict=True) if was_taken]
        self.records[stream] += len(kept)
        self.bytes[stream] += sum(kept)
        self.puts[stream] += 1 if kept else 0
        self.throttled[stream] += len(data) - len(kept)


def _remember(*, params: dict, context: dict, **_) -> None:
    context["asked"] = params
