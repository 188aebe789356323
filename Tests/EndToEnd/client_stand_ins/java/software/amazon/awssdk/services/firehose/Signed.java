package software.amazon.awssdk.services.firehose;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;

/** Requests with the headers and the signature that version 2 of the SDK sends. */
record Signed(URI endpoint, String region, AwsBasicCredentials key, Duration timeout) {
    String post(String operation, String text) {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        try {
            HttpURLConnection connection = (HttpURLConnection) endpoint.toURL().openConnection();
            connection.setReadTimeout((int) timeout.toMillis());
            connection.setRequestMethod("POST");
            connection.setDoOutput(true);
            headers(operation, body).forEach(connection::setRequestProperty);
            try (OutputStream stream = connection.getOutputStream()) {
                stream.write(body);
            }
            boolean failed = connection.getResponseCode() >= 300;
            InputStream answer = failed ? connection.getErrorStream() : connection.getInputStream();
            String said = new String(answer.readAllBytes(), StandardCharsets.UTF_8);
            if (failed) {
                throw new IllegalStateException(said);
            }
            return said;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private Map<String, String> headers(String operation, byte[] body) {
        String stamp = ZonedDateTime.now(ZoneOffset.UTC)
                .format(DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'"));
        Map<String, String> headers = new TreeMap<>();
        headers.put("amz-sdk-invocation-id", UUID.randomUUID().toString());
        headers.put("amz-sdk-request", "attempt=1; max=4");
        headers.put("content-type", "application/x-amz-json-1.1");
        headers.put("host", endpoint.getAuthority());
        headers.put("x-amz-content-sha256", sha256(body));
        headers.put("x-amz-date", stamp);
        headers.put("x-amz-target", "Firehose_20150804." + operation);
        StringBuilder lines = new StringBuilder();
        headers.forEach((name, value) -> lines.append(name).append(':').append(value).append('\n'));
        String names = String.join(";", headers.keySet());
        String request = "POST\n/\n\n" + lines + "\n" + names + "\n" + sha256(body);
        String day = stamp.substring(0, 8);
        String scope = day + "/" + region + "/firehose/aws4_request";
        String text = "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n"
                + sha256(request.getBytes(StandardCharsets.UTF_8));
        byte[] secret = ("AWS4" + key.secretAccessKey()).getBytes(StandardCharsets.UTF_8);
        for (String part : new String[] {day, region, "firehose", "aws4_request", text}) {
            secret = hmac(secret, part);
        }
        headers.remove("host");
        headers.put("user-agent", "aws-sdk-java/2.33.0 md/io#sync md/http#Apache ua/2.1");
        headers.put("authorization", "AWS4-HMAC-SHA256 Credential=" + key.accessKeyId() + "/" + scope
                + ", SignedHeaders=" + names + ", Signature=" + HexFormat.of().formatHex(secret));
        return headers;
    }

    private static byte[] hmac(byte[] secret, String text) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(secret, "HmacSHA256"));
            return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String sha256(byte[] data) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }
}
