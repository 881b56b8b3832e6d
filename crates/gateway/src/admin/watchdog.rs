//! Says that the process lives, and only if it does.
//!
//! Each time every worker is asked for a sign, over the channel on which it also hears of listeners: one that hangs in
//! a computation or a blocking call gives none, and systemd is not told. That the control side lives is shown by its
//! asking.

use std::sync::Arc;

use super::control::Control;

/// Runs until the process ends; at once over where nobody wants to know.
pub(super) async fn run(control: Arc<Control>) {
    let Some(time) = control.notify.watchdog() else { return };
    let pause = time / 3;
    loop {
        let asked = control.clone();
        match tokio::task::spawn_blocking(move || asked.gateway.answers(pause)).await {
            Ok(true) => control.notify.alive(),
            _ => tracing::error!("a worker does not answer: the watchdog is not told that the process lives"),
        }
        tokio::time::sleep(pause).await;
    }
}
