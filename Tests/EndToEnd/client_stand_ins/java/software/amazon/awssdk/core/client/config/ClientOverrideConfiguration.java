package software.amazon.awssdk.core.client.config;

import java.time.Duration;

/** In place of the SDK's class: what its builder takes. */
public final class ClientOverrideConfiguration {
    private ClientOverrideConfiguration() {}

    public static final class Builder {
        public Duration attemptTimeout = Duration.ZERO;

        public Builder apiCallAttemptTimeout(Duration timeout) {
            attemptTimeout = timeout;
            return this;
        }

        public Builder apiCallTimeout(Duration timeout) {
            return this;
        }
    }
}
