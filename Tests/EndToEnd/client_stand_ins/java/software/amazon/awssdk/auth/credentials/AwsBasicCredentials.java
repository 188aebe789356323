package software.amazon.awssdk.auth.credentials;

/** In place of the SDK's class. */
public record AwsBasicCredentials(String accessKeyId, String secretAccessKey) {
    public static AwsBasicCredentials create(String accessKeyId, String secretAccessKey) {
        return new AwsBasicCredentials(accessKeyId, secretAccessKey);
    }
}
