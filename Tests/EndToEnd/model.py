"""AWS's own API model, out of botocore, as the judge of answers."""

import json

import botocore.session
from botocore.validate import ParamValidator

SERVICE = botocore.session.Session().get_service_model("firehose")


def assert_conforms(operation: str, body: bytes) -> dict:
    """Checks an answer's JSON against the operation's output shape in the model.

    Required members must be there, no member may be unknown, types and ranges must be right.
    Returns the decoded answer.
    """
    answer = json.loads(body)
    shape = SERVICE.operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    return answer
