//! What S3 does and the server over files does not: a suffix longer than the object is the whole
//! object, `If-Match` is looked at, and of two conditional writes at once one wins.

use std::pin::Pin;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::Mutex;

/// The server over files, mended.
#[derive(Debug)]
pub(super) struct Faithful {
    files: FileSystem,
    writing: Mutex<()>,
}

impl Faithful {
    pub(super) fn new(files: FileSystem) -> Self {
        Self { files, writing: Mutex::default() }
    }
}

/// Passes operations on. (Written as `async_trait` writes them: it does not look into macros.)
macro_rules! pass_on {
    ($($name:ident: $input:ty => $output:ty;)*) => {
        $(
            fn $name<'a, 'b>(
                &'a self,
                request: S3Request<$input>,
            ) -> Pin<Box<dyn Future<Output = S3Result<S3Response<$output>>> + Send + 'b>>
            where
                'a: 'b,
                Self: 'b,
            {
                self.files.$name(request)
            }
        )*
    };
}

#[async_trait::async_trait]
impl S3 for Faithful {
    async fn get_object(
        &self,
        mut request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &request.input;
        let head = HeadObjectInput {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            ..HeadObjectInput::default()
        };
        let head = S3Request {
            input: head,
            method: request.method.clone(),
            uri: request.uri.clone(),
            headers: request.headers.clone(),
            extensions: Default::default(),
            credentials: request.credentials.clone(),
            region: request.region.clone(),
            service: request.service.clone(),
            trailing_headers: None,
        };
        let found = self.files.head_object(head).await?.output;
        if let Some(wanted) = request.input.if_match.as_ref().and_then(|wanted| wanted.as_etag())
            && found.e_tag.as_ref() != Some(wanted)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let size = found.content_length.unwrap_or_default().unsigned_abs();
        if let Some(Range::Suffix { length }) = &mut request.input.range {
            *length = size.min(*length);
        }
        if size == 0 {
            request.input.range = None;
        }
        self.files.get_object(request).await
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let _alone = match request.input.if_none_match {
            Some(_) => Some(self.writing.lock().await),
            None => None,
        };
        self.files.put_object(request).await
    }

    pass_on! {
        head_object: HeadObjectInput => HeadObjectOutput;
        delete_object: DeleteObjectInput => DeleteObjectOutput;
        delete_objects: DeleteObjectsInput => DeleteObjectsOutput;
        list_objects_v2: ListObjectsV2Input => ListObjectsV2Output;
        copy_object: CopyObjectInput => CopyObjectOutput;
        create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput;
        upload_part: UploadPartInput => UploadPartOutput;
        complete_multipart_upload:
            CompleteMultipartUploadInput => CompleteMultipartUploadOutput;
        abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput;
    }
}
