//! Files that belong to an image in a registry: an artifact whose subject is the image.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use oci::Digest;
use oci::registry::{
    Descriptor, Document, EMPTY_CONFIG, Endpoint, Graph, OpenBlob, Push, Referrers, ReferrersError,
    Watch, artifact, empty_config,
};

/// A file to attach.
#[derive(Clone, Debug)]
pub struct File {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The bytes of a file to attach.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// On this machine.
    Path(PathBuf),
    /// In memory.
    Memory(Arc<[u8]>),
}

/// An artifact, before it is put into the registry.
pub struct Attachment {
    subject: Digest,
    document: Document,
    blobs: Vec<(Descriptor, Bytes)>,
}

impl Attachment {
    /// Describes the files; reads those that lie on this machine.
    pub fn new(
        artifact_type: &str,
        subject: &Descriptor,
        files: Vec<File>,
        annotations: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let mut named = Vec::new();
        let mut blobs = vec![(empty_config(), Bytes::Memory(EMPTY_CONFIG.into()))];
        for file in files {
            let (digest, size) = Digest::of_reader(file.bytes.open(0)?)?;
            let descriptor = Descriptor {
                media_type: file.media_type,
                digest,
                size,
            };
            named.push((descriptor.clone(), file.name));
            blobs.push((descriptor, file.bytes));
        }
        Ok(Self {
            subject: subject.digest,
            document: artifact(artifact_type, subject, &named, annotations),
            blobs,
        })
    }

    /// Its manifest.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Puts the files, then the manifest that leads to them.
    pub fn put(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ReferrersError> {
        let graph = Graph {
            documents: vec![self.document.clone()],
            blobs: self.blobs.iter().map(|(blob, _)| blob.clone()).collect(),
        };
        let push = Push {
            endpoint,
            repository,
            graph: &graph.each_once(),
            open: &|blob| self.open(blob),
            mount_from: &[],
            watch,
        };
        push.blobs()?;
        let referrers = Referrers {
            endpoint,
            repository,
            subject: self.subject,
        };
        referrers.put(&self.document)
    }

    fn open(&self, blob: &Descriptor) -> io::Result<OpenBlob> {
        let found = self
            .blobs
            .iter()
            .find(|(there, _)| there.digest == blob.digest);
        let (_, bytes) = found.ok_or(io::ErrorKind::NotFound)?;
        let bytes = bytes.clone();
        Ok(Arc::new(move |from| bytes.open(from)))
    }
}

impl Bytes {
    /// Reads them from an offset on.
    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Path(path) => {
                let mut file = fs_err::File::open(path)?;
                file.seek(SeekFrom::Start(from))?;
                Ok(Box::new(file))
            }
            Self::Memory(bytes) => {
                let mut bytes = Cursor::new(bytes.clone());
                bytes.set_position(from);
                Ok(Box::new(bytes))
            }
        }
    }
}
