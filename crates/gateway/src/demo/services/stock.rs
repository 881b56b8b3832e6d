//! How many of a product are in stock: a gRPC service, `shop.Stock/Count` of `examples/shop/stock.proto`.
//!
//! Takes a port, gives an address. Speaks HTTP/2 in clear from the first byte, as gRPC servers do; its two messages of one
//! number each are read and written by hand.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};

use crate::demo::shop::Shop;

/// Its name and usual port, and what it is like.
pub(crate) const STOCK: (&str, u16, &str) = ("stock", 7700, "gRPC: how many of a product are in stock");
/// Bytes of a question; more is none.
const MOST: usize = 64;
/// Statuses of gRPC (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
const INVALID_ARGUMENT: u8 = 3;
const NOT_FOUND: u8 = 5;
const UNIMPLEMENTED: u8 = 12;

/// Starts it on its usual port, or on a free one.
pub(crate) fn start(shop: &Arc<Shop>) -> io::Result<SocketAddr> {
    let (name, port, _) = STOCK;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shop = shop.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(serve(listener, shop)))?;
    Ok(address)
}

async fn serve(listener: TcpListener, shop: Arc<Shop>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let shop = shop.clone();
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(answer(request, respond, shop.clone()));
            }
        });
    }
}

/// Answers one call. A caller that has gone needs none.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shop: Arc<Shop>) {
    let counted = match request.uri().path() {
        "/shop.Stock/Count" => count(request.into_body(), &shop).await,
        _ => Err((UNIMPLEMENTED, "no such method")),
    };
    let mut head = Response::new(());
    let fields = head.headers_mut();
    fields.insert("content-type", HeaderValue::from_static("application/grpc"));
    let (stock, status) = match counted {
        Ok(stock) => (stock, 0),
        Err((status, why)) => {
            fields.insert("grpc-message", HeaderValue::from_static(why));
            fields.insert("grpc-status", HeaderValue::from(u16::from(status)));
            let _ = respond.send_response(head, true);
            return;
        }
    };
    let Ok(mut body) = respond.send_response(head, false) else { return };
    if body.send_data(message(stock), false).is_ok() {
        let trailers = HeaderMap::from_iter(
            [("grpc-status", HeaderValue::from(status))]
                .map(|(name, value)| (http::HeaderName::from_static(name), value)),
        );
        let _ = body.send_trailers(trailers);
    }
}

async fn count(mut body: RecvStream, shop: &Shop) -> Result<u32, (u8, &'static str)> {
    const WRONG: (u8, &str) = (INVALID_ARGUMENT, "one message with the number of a product");
    let mut question = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|_| WRONG)?;
        let _ = body.flow_control().release_capacity(piece.len());
        question.extend_from_slice(&piece);
        if question.len() > MOST {
            return Err(WRONG);
        }
    }
    let product = number(&question).ok_or(WRONG)?;
    let product = shop.products.iter().find(|known| known.id == product);
    product.map(|product| product.stock).ok_or((NOT_FOUND, "there is no such product"))
}

/// The first field of the one message of a call (protobuf encoding: key 8 is field 1, a varint).
fn number(question: &[u8]) -> Option<u32> {
    let [0, 0, 0, 0, length, 8, digits @ ..] = question else { return None };
    if usize::from(*length) != digits.len().checked_add(1)? || digits.len() > 5 {
        return None;
    }
    let (last, before) = digits.split_last()?;
    if *last > 127 || before.iter().any(|digit| *digit < 128) {
        return None;
    }
    let value = digits.iter().rev().fold(0_u64, |value, digit| value << 7 | u64::from(digit & 127));
    u32::try_from(value).ok()
}

/// A message whose first field is this number.
fn message(mut number: u32) -> Bytes {
    let mut field = vec![8];
    loop {
        let digit = u8::try_from(number & 127).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            field.push(digit);
            break;
        }
        field.push(digit | 128);
    }
    let length = u8::try_from(field.len()).unwrap_or_default();
    [&[0, 0, 0, 0, length], &field[..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for value in [0, 1, 127, 128, 300, u32::MAX] {
            assert_eq!(number(&message(value)), Some(value));
        }
        for wrong in
            [&b""[..], b"\0\0\0\0\0", b"\0\0\0\0\x02\x08", b"\0\0\0\0\x02\x08\x80", b"\x01\0\0\0\x02\x08\x01"]
        {
            assert_eq!(number(wrong), None, "{wrong:?}");
        }
    }
}
