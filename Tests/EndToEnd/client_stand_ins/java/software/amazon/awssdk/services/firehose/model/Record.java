package software.amazon.awssdk.services.firehose.model;

import software.amazon.awssdk.core.SdkBytes;

/** In place of the SDK's class. */
public final class Record {
    private final SdkBytes data;

    private Record(SdkBytes data) {
        this.data = data;
    }

    public static Builder builder() {
        return new Builder();
    }

    public SdkBytes data() {
        return data;
    }

    public static final class Builder {
        private SdkBytes data;

        public Builder data(SdkBytes data) {
            this.data = data;
            return this;
        }

        public Record build() {
            return new Record(data);
        }
    }
}
