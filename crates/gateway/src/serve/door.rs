//! What a listener asks of a request before any route is looked for: that it came the right way.
//!
//! In clear to a port for TLS; for another host than the certificate was shown to. And what it says besides of every
//! answer under TLS.

use http1::Name;

use crate::exchange::{Answer, Exchange};
use crate::fault::Fault;
use crate::snapshot::{Listener, Snapshot};

/// The answer to a request that came the wrong way; `None` when it goes on.
///
/// # Errors
/// A fault where there is no better way to name.
pub fn answer(
    snapshot: &Snapshot,
    listener: &Listener,
    exchange: &Exchange,
) -> Result<Option<Answer>, Fault> {
    if let Some(proofs) = &snapshot.proofs
        && exchange.secure.is_none()
        && let Some(proof) = proofs.answer(&exchange.path)
    {
        return Ok(Some(proof));
    }
    match (&listener.tls, &exchange.secure) {
        (None, _) | (Some(_), None) => {
            // A proxy that is believed may have spoken TLS for this listener.
            let already = listener.tls.is_none() && exchange.client.https;
            if let Some(port) = listener.https_port.filter(|_| !already) {
                return secure_location(exchange, port).map(Some);
            }
            if listener.tls.is_some() { Err(Fault::PlainHttp) } else { Ok(None) }
        }
        (Some(tls), Some(secure)) if tls.asks_certificates => {
            // What was asked of the client is asked for the name it said; without a name it is asked all the same.
            let named = secure.server_name.as_deref();
            let same = named.is_none_or(|name| name.as_bytes() == &*exchange.host);
            if same { Ok(None) } else { Err(Fault::Misdirected) }
        }
        _ => Ok(None),
    }
}

/// The same request under TLS.
fn secure_location(exchange: &Exchange, port: u16) -> Result<Answer, Fault> {
    if exchange.host.is_empty() {
        return Err(Fault::PlainHttp);
    }
    // A listener on port 0 is one whose port the system chose: then it can only be the one the request came to.
    let port = if port == 0 { exchange.client.local.port() } else { port };
    let mut location = b"https://".to_vec();
    location.extend_from_slice(&exchange.host);
    if port != 443 {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    location.extend_from_slice(&exchange.path);
    if exchange.has_query {
        location.push(b'?');
        location.extend_from_slice(&exchange.query);
    }
    Ok(Answer::empty(308, "https").with("Location", location))
}

/// Puts on an answer what the gateway says of it: that something stood in for the service, and what the listener wants said
/// under TLS.
pub fn dress(listener: &Listener, exchange: &mut Exchange) {
    if !exchange.record.degraded.is_empty()
        && let Ok(name) = Name::new(b"Tidegate-Degraded")
    {
        exchange.response.fields.set(name, exchange.record.degraded.as_bytes());
    }
    if let Some(hsts) = listener.tls.as_ref().and_then(|tls| tls.hsts.as_deref())
        && exchange.secure.is_some()
        && let Ok(name) = Name::new(b"Strict-Transport-Security")
    {
        exchange.response.fields.set(name, hsts);
    }
}
