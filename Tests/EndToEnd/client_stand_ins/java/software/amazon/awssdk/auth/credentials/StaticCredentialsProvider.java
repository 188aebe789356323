package software.amazon.awssdk.auth.credentials;

/** In place of the SDK's class. */
public final class StaticCredentialsProvider {
    private StaticCredentialsProvider() {}

    public static AwsCredentialsProvider create(AwsBasicCredentials credentials) {
        return () -> credentials;
    }
}
