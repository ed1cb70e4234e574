//! Buckets: S3, Google's and Azure's, by their URLs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::patience::Patience;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a bucket may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(20);

/// How long one request may take: a part of an upload over a slow line.
const REQUEST: Duration = Duration::from_secs(120);

/// A bucket, or the part of it below a prefix. [`Backend::open`] opens those that Kiln knows;
/// anything else that stores objects can be put together by hand.
#[derive(Clone)]
pub struct Backend {
    /// The bucket.
    pub store: Arc<dyn ObjectStore>,
    /// The same bucket, for uploads in parts.
    pub parts: Arc<dyn MultipartStore>,
    /// The same bucket, for addresses that anybody can read for a while; where it has such.
    pub signer: Option<Arc<dyn Signer>>,
    /// Everything of the store is below this path.
    pub prefix: Path,
    /// What people call it: its URL.
    pub name: String,
    /// How often it is asked again when it fails.
    pub patience: Patience,
}

/// A bucket that can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// Not a URL of a bucket.
    #[error(
        "'{0}' is not a place for a store: give a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX \
         or az://CONTAINER/PREFIX (another Kiln's address belongs to --remote)"
    )]
    Url(String),
    /// What the client of that kind of bucket says.
    #[error(
        "{url} can't be opened; address, region and credentials come from the variables that \
         its own tools read (AWS_…, GOOGLE_…, AZURE_…)"
    )]
    Client {
        /// The bucket.
        url: String,
        /// What is missing or wrong.
        source: object_store::Error,
    },
}

impl Backend {
    /// Opens `s3://BUCKET/PREFIX`, `gs://…` or `az://CONTAINER/PREFIX`. `options` are named like
    /// the environment variables of each kind's own tools; others are ignored. Asks nobody yet.
    pub fn open(url: &str, options: &[(String, String)]) -> Result<Self, BucketError> {
        let wrong = || BucketError::Url(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|_| wrong())?;
        if bucket.is_empty() || bucket.contains(['?', '#', '@']) {
            return Err(wrong());
        }
        let fail = |source| BucketError::Client { url: url.to_owned(), source };
        match scheme.to_ascii_lowercase().as_str() {
            "s3" => {
                let builder = AmazonS3Builder::new()
                    .with_retry(retry())
                    .with_client_options(client())
                    .with_bucket_name(bucket);
                let builder = known::<AmazonS3ConfigKey>(options, &["AWS_"])
                    .fold(builder, |builder, (key, value)| builder.with_config(key, value));
                Ok(Self::over(Arc::new(builder.build().map_err(fail)?), prefix, url))
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::new()
                    .with_retry(retry())
                    .with_client_options(client())
                    .with_bucket_name(bucket);
                let builder = known::<GoogleConfigKey>(options, &["GOOGLE_"])
                    .fold(builder, |builder, (key, value)| builder.with_config(key, value));
                Ok(Self::over(Arc::new(builder.build().map_err(fail)?), prefix, url))
            }
            "az" => {
                let builder = MicrosoftAzureBuilder::new()
                    .with_retry(retry())
                    .with_client_options(client())
                    .with_container_name(bucket);
                let builder = known::<AzureConfigKey>(options, &["AZURE_"])
                    .fold(builder, |builder, (key, value)| builder.with_config(key, value));
                Ok(Self::over(Arc::new(builder.build().map_err(fail)?), prefix, url))
            }
            _ => Err(wrong()),
        }
    }

    fn over<S>(bucket: Arc<S>, prefix: Path, url: &str) -> Self
    where
        S: ObjectStore + MultipartStore + Signer,
    {
        Self {
            store: bucket.clone(),
            parts: bucket.clone(),
            signer: Some(bucket),
            prefix,
            name: url.trim_end_matches('/').to_owned(),
            patience: Patience::default(),
        }
    }
}

/// Credentials stay out of it.
impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The options that a kind of bucket knows. The builders' own keys are the lower-case names of
/// the variables.
fn known<'a, K: FromStr>(
    options: &'a [(String, String)],
    prefixes: &'a [&str],
) -> impl Iterator<Item = (K, &'a str)> {
    options
        .iter()
        .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.as_str())))
}

fn client() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_read_timeout(SILENCE)
        .with_timeout(REQUEST)
}

/// The client's own tries are few: Kiln knows better what can be done twice.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: 1,
        retry_timeout: Duration::from_secs(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Vec<(String, String)> {
        [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0"),
            ("AWS_PROFILE_OF_SOMETHING", "ignored"),
            ("PATH", "/bin"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    #[test]
    fn buckets_by_url() {
        for (url, prefix, name) in [
            ("s3://bucket", "", "s3://bucket"),
            ("s3://bucket/", "", "s3://bucket"),
            ("S3://bucket/a/b/", "a/b", "S3://bucket/a/b"),
            ("az://container/kiln", "kiln", "az://container/kiln"),
        ] {
            let backend = Backend::open(url, &options()).unwrap();
            assert_eq!((backend.prefix.as_ref(), backend.name.as_str()), (prefix, name));
            assert!(backend.signer.is_some());
            assert!(!format!("{backend:?}").contains("s3cret"));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for url in ["s3://", "s3:///prefix", "ftp://host/x", "bucket", "s3://user@bucket/x"] {
            let error = Backend::open(url, &options()).unwrap_err();
            assert!(matches!(error, BucketError::Url(_)), "{url}: {error}");
        }
    }
}
