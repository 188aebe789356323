package software.amazon.awssdk.services.firehose;

import java.net.URI;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.core.client.config.ClientOverrideConfiguration;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.firehose.model.PutRecordBatchRequest;
import software.amazon.awssdk.services.firehose.model.PutRecordBatchResponse;
import software.amazon.awssdk.services.firehose.model.PutRecordBatchResponseEntry;
import software.amazon.awssdk.services.firehose.model.PutRecordRequest;
import software.amazon.awssdk.services.firehose.model.PutRecordResponse;
import software.amazon.awssdk.services.firehose.model.Record;

/** In place of the SDK's client, for the lines of deploy/clients/java.md. No retries. */
public final class FirehoseClient implements AutoCloseable {
    private static final Pattern ENTRY = Pattern.compile("\\{[^{}\\[\\]]*\\}");
    private static final Pattern MEMBER = Pattern.compile("\"(RecordId|ErrorCode)\":\\s*\"([^\"]*)\"");

    private final Signed connection;

    private FirehoseClient(Signed connection) {
        this.connection = connection;
    }

    public static Builder builder() {
        return new Builder();
    }

    public PutRecordResponse putRecord(Consumer<PutRecordRequest.Builder> request) {
        PutRecordRequest.Builder put = new PutRecordRequest.Builder();
        request.accept(put);
        String body = "{\"DeliveryStreamName\":\"" + put.stream + "\",\"Record\":" + json(put.record) + "}";
        return new PutRecordResponse(entry(connection.post("PutRecord", body)).recordId());
    }

    public PutRecordBatchResponse putRecordBatch(Consumer<PutRecordBatchRequest.Builder> request) {
        PutRecordBatchRequest.Builder put = new PutRecordBatchRequest.Builder();
        request.accept(put);
        String records = put.records.stream().map(FirehoseClient::json).collect(Collectors.joining(","));
        String body = "{\"DeliveryStreamName\":\"" + put.stream + "\",\"Records\":[" + records + "]}";
        String answer = connection.post("PutRecordBatch", body);
        List<PutRecordBatchResponseEntry> entries =
                ENTRY.matcher(answer).results().map(each -> entry(each.group())).toList();
        return new PutRecordBatchResponse(entries);
    }

    @Override
    public void close() {}

    private static String json(Record record) {
        return "{\"Data\":\"" + Base64.getEncoder().encodeToString(record.data().asByteArrayUnsafe()) + "\"}";
    }

    private static PutRecordBatchResponseEntry entry(String json) {
        String id = null;
        String code = null;
        Matcher members = MEMBER.matcher(json);
        while (members.find()) {
            if (members.group(1).equals("RecordId")) {
                id = members.group(2);
            } else {
                code = members.group(2);
            }
        }
        return new PutRecordBatchResponseEntry(id, code);
    }

    /** What the SDK's builder takes. */
    public static final class Builder {
        private URI endpoint;
        private Region region;
        private Duration timeout = Duration.ZERO;
        private AwsCredentialsProvider credentials = () -> AwsBasicCredentials.create(
                System.getenv("AWS_ACCESS_KEY_ID"), System.getenv("AWS_SECRET_ACCESS_KEY"));

        public Builder endpointOverride(URI endpoint) {
            this.endpoint = endpoint;
            return this;
        }

        public Builder region(Region region) {
            this.region = region;
            return this;
        }

        public Builder credentialsProvider(AwsCredentialsProvider credentials) {
            this.credentials = credentials;
            return this;
        }

        public Builder overrideConfiguration(Consumer<ClientOverrideConfiguration.Builder> change) {
            ClientOverrideConfiguration.Builder settings = new ClientOverrideConfiguration.Builder();
            change.accept(settings);
            timeout = settings.attemptTimeout;
            return this;
        }

        public FirehoseClient build() {
            AwsBasicCredentials key = credentials.resolveCredentials();
            return new FirehoseClient(new Signed(endpoint, region.id(), key, timeout));
        }
    }
}
