//! A certificate authority for one test.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::path::{Path, PathBuf};

/// A CA whose files lie in a directory of the test's.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: PathBuf,
    ca: PathBuf,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes a CA and writes its certificate to `DIR/NAME.ca.pem`.
    pub fn new(dir: &Path, name: &str) -> anyhow::Result<Authority> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("gs test CA {name}"));
        let key = KeyPair::generate()?;
        let ca = dir.join(format!("{name}.ca.pem"));
        std::fs::write(&ca, params.self_signed(&key)?.pem())?;
        Ok(Authority { issuer: Issuer::new(params, key), dir: dir.to_path_buf(), ca })
    }

    /// The CA's certificate file.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// A leaf for localhost and 127.0.0.1, good as a server's and as a client's.
    pub fn leaf(&self, name: &str) -> anyhow::Result<Leaf> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        let leaf = Leaf {
            cert: self.dir.join(format!("{name}.cert.pem")),
            key: self.dir.join(format!("{name}.key.pem")),
        };
        std::fs::write(&leaf.cert, cert.pem())?;
        std::fs::write(&leaf.key, key.serialize_pem())?;
        Ok(leaf)
    }
}
