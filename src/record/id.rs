//! Ids: UUIDv7 in text, made by the hub, so that they sort by time on every engine.

use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Makes a new id that sorts after those made before.
            pub fn generate() -> Self {
                Self(uuid::Uuid::now_v7().to_string())
            }

            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

id_type!(
    /// Id of a submission as received.
    SubmissionId
);
id_type!(
    /// Id of a record; also the hub's key on the platforms.
    RecordId
);
id_type!(
    /// Id of the delivery of one record to one platform.
    DeliveryId
);
id_type!(
    /// Id of one try of a delivery.
    AttemptId
);
id_type!(
    /// Id of an operator's bulk act.
    ReplayId
);
id_type!(
    /// Id of a look at everything a platform shows.
    VerificationId
);
