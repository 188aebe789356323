package software.amazon.awssdk.regions;

/** In place of the SDK's class. */
public record Region(String id) {
    public static final Region US_EAST_1 = new Region("us-east-1");
}
