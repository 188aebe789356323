package software.amazon.awssdk.services.firehose.model;

import java.util.Collection;

/** In place of the SDK's class: what its builder takes. */
public final class PutRecordBatchRequest {
    private PutRecordBatchRequest() {}

    public static final class Builder {
        public String stream;
        public Collection<Record> records;

        public Builder deliveryStreamName(String name) {
            stream = name;
            return this;
        }

        public Builder records(Collection<Record> records) {
            this.records = records;
            return this;
        }
    }
}
