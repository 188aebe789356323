package software.amazon.awssdk.core;

import java.nio.charset.StandardCharsets;

/** In place of the SDK's class. */
public final class SdkBytes {
    private final byte[] bytes;

    private SdkBytes(byte[] bytes) {
        this.bytes = bytes;
    }

    public static SdkBytes fromByteArray(byte[] bytes) {
        return new SdkBytes(bytes.clone());
    }

    public static SdkBytes fromUtf8String(String text) {
        return new SdkBytes(text.getBytes(StandardCharsets.UTF_8));
    }

    public byte[] asByteArrayUnsafe() {
        return bytes;
    }
}
