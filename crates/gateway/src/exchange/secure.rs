//! What the handshake of a client's connection told: its version, the name asked for, the certificate shown.
//!
//! Made once for each connection, read by every exchange on it. Plain values; what is in a certificate has been
//! verified and read before it comes here.

/// What is known of a client's TLS connection.
#[derive(Debug, Default)]
pub struct Secure {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite, as IANA names it.
    pub cipher: &'static str,
    /// Whether the keys of an earlier connection were taken up again.
    pub resumed: bool,
    /// The name the client asked for (SNI), in lower case.
    pub server_name: Option<Box<str>>,
    /// The certificate the client has proved to own.
    pub client_cert: Option<ClientCert>,
}

/// A client's certificate, which an authority of the listener vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCert {
    /// Its subject, in the order of the certificate: `C=SE, O=Shop, CN=orders`.
    pub subject: String,
    /// Its alternative names with their kinds: `DNS:orders.internal,URI:spiffe://shop/orders`.
    pub san: String,
    /// SHA-256 of the whole certificate, in lower hexadecimal.
    pub fingerprint: String,
    /// The field value of `Client-Cert` (RFC 9440 section 2.2).
    pub field: Box<[u8]>,
}
