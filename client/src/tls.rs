//! TLS configurations for links and listeners, from PEM files.
//!
//! The provider is named explicitly everywhere: with two of them in a build, rustls' process default panics.

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use gs_conf::ClientAuth;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why a TLS configuration could not be made. Each is the operator's to repair; retrying does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file is missing, unreadable or not PEM.
    #[error("cannot read {what} from {path}: {reason}")]
    Pem {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is PEM but holds no certificate.
    #[error("{path} holds no certificate")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("a client certificate needs both its file and its key's file: give both or neither")]
    HalfPair,
    /// Client certificates are to be checked, but nobody said against what.
    #[error("client certificates cannot be checked without the CA that signed them: set tls.ca")]
    NoClientCa,
    /// rustls refused what the files hold.
    #[error("TLS refuses these certificates: {0}")]
    Refused(String),
}

/// A client's configuration: trusts the CAs in `ca`, and shows the certificate `cert` (with `key`) if the server asks.
pub fn client_config(
    ca: &Path,
    cert: Option<&Path>,
    key: Option<&Path>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_root_certificates(roots(ca)?);
    let config = match (cert, key) {
        (Some(cert), Some(key)) => {
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(refused)?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(TlsError::HalfPair),
    };
    Ok(Arc::new(config))
}

/// A listener's configuration: shows `cert` (with `key`), and checks clients' certificates against `ca` as
/// `client_auth` says.
pub fn server_config(
    cert: &Path,
    key: &Path,
    ca: Option<&Path>,
    client_auth: ClientAuth,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let builder = match client_auth {
        ClientAuth::No => builder.with_no_client_auth(),
        ClientAuth::Optional | ClientAuth::Required => {
            let roots = roots(ca.ok_or(TlsError::NoClientCa)?)?;
            let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            if client_auth == ClientAuth::Optional {
                verifier = verifier.allow_unauthenticated();
            }
            builder.with_client_cert_verifier(verifier.build().map_err(|e| TlsError::Refused(e.to_string()))?)
        }
    };
    let config = builder.with_single_cert(certificates(cert)?, private_key(key)?).map_err(refused)?;
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(refused)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |e: rustls_pki_types::pem::Error| pem_error("certificates", path, &e);
    let list =
        CertificateDer::pem_file_iter(path).map_err(bad)?.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    if list.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(list)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| pem_error("a private key", path, &e))
}

fn pem_error(what: &'static str, path: &Path, error: &rustls_pki_types::pem::Error) -> TlsError {
    TlsError::Pem { what, path: path.to_owned(), reason: error.to_string() }
}

fn refused(error: rustls::Error) -> TlsError {
    TlsError::Refused(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// An operator who mistypes a path must read which file is meant, not "handshake failure" an hour later.
    #[test]
    fn errors_name_the_file() {
        let missing = Path::new("/nonexistent/ca.pem");
        let error = client_config(missing, None, None).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");

        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "no PEM in here\n").unwrap();
        let error = client_config(&empty, None, None).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
    }

    /// "Required" without a CA would accept nobody or anybody; neither is what was asked for.
    #[test]
    fn checking_clients_needs_a_ca() {
        let any = Path::new("/nonexistent");
        assert!(matches!(server_config(any, any, None, ClientAuth::Required), Err(TlsError::NoClientCa)));
    }
}
