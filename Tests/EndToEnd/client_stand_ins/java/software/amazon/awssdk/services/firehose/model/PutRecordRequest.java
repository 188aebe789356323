package software.amazon.awssdk.services.firehose.model;

/** In place of the SDK's class: what its builder takes. */
public final class PutRecordRequest {
    private PutRecordRequest() {}

    public static final class Builder {
        public String stream;
        public Record record;

        public Builder deliveryStreamName(String name) {
            stream = name;
            return this;
        }

        public Builder record(Record record) {
            this.record = record;
            return this;
        }
    }
}
