package software.amazon.awssdk.services.firehose.model;

import java.util.List;

/** In place of the SDK's class. */
public record PutRecordBatchResponse(List<PutRecordBatchResponseEntry> requestResponses) {}
