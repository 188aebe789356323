package software.amazon.awssdk.services.firehose.model;

/** In place of the SDK's class. */
public record PutRecordResponse(String recordId) {}
