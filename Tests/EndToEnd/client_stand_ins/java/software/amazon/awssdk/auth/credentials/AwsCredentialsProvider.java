package software.amazon.awssdk.auth.credentials;

/** In place of the SDK's interface. */
public interface AwsCredentialsProvider {
    AwsBasicCredentials resolveCredentials();
}
