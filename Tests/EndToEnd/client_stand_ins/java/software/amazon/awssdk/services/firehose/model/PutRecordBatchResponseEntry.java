package software.amazon.awssdk.services.firehose.model;

/** In place of the SDK's class. */
public record PutRecordBatchResponseEntry(String recordId, String errorCode) {}
