//! Tunnels: silence in one direction alone is no silence.

use std::time::Duration;

use testkit::client::{Frame, WebSocket};
use testkit::origin::{After, Origin, WebSocketEcho};

/// What the gateway reads at a time; after exactly that much it cannot know whether there is more.
const ONE_READ: usize = 32 * 1024;

#[test]
fn a_side_that_only_listens_does_not_end_the_tunnel() {
    let origin = Origin::conversing(|request, conversation| {
        WebSocketEcho::accept(request, conversation);
        let frame = conversation.wire().exact(ONE_READ).unwrap().len();
        for _ in 0..8 {
            conversation.write(b"\x81\x01x");
            conversation.wire().set_read_timeout(Some(Duration::from_millis(400)));
            assert!(conversation.wire().fill().is_err(), "after {frame} bytes");
        }
        After::Close
    });
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: {{ targets: ["{app}"], tunnel_timeout: 2s }} }}
routes:
  /*: {{ to: app }}
"#,
        app = origin.url()
    );
    let mut socket = WebSocket::connect(gateway.addr(), "/ws");
    // Two bytes of frame, two of length, four of mask.
    socket.send(&Frame::Binary(vec![b'x'; ONE_READ - 8]));
    for nth in 0..8 {
        assert_eq!(socket.try_read(), Ok(Frame::Text("x".into())), "message {nth}");
    }
}
