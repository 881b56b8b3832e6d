//! A server for e-mail that takes everything and keeps it: as much of SMTP (RFC 5321) as a client needs to send.
//!
//! Takes connections on a port of its own; gives the mails that came. Must never outlive its test: its threads end with their
//! connections.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::event::Journal;

/// A mail that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Whom it is from, as said before the text.
    pub from: String,
    /// Whom it is to.
    pub to: Vec<String>,
    /// The text, with its head.
    pub text: String,
}

/// The server.
pub struct MailServer {
    addr: SocketAddr,
    mails: Arc<Journal<Mail>>,
}

impl MailServer {
    /// Starts one that refuses so many mails for the moment (451) before it takes any.
    pub fn start(refused: usize) -> MailServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let mails: Arc<Journal<Mail>> = Arc::default();
        let (kept, left) = (mails.clone(), Arc::new(AtomicUsize::new(refused)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, left) = (kept.clone(), left.clone());
                thread::spawn(move || converse(&stream, &kept, &left));
            }
        });
        MailServer { addr, mails }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for so many mails, and gives them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        let found = self.mails.wait(|mails| (mails.len() >= count).then(|| mails.to_vec()));
        found.unwrap_or_else(|| panic!("only {} mails came", self.mails.all().len()))
    }
}

fn converse(stream: &TcpStream, mails: &Journal<Mail>, left: &AtomicUsize) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    let mut say = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes()).ok();
    say("220 mail.test ESMTP")?;
    let mut mail = Mail::default();
    while let Some(Ok(line)) = lines.next() {
        let word = line.to_ascii_uppercase();
        if word.starts_with("EHLO") || word.starts_with("HELO") {
            say("250 mail.test")?;
        } else if word.starts_with("MAIL FROM:") {
            let takes =
                left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_err();
            mail = Mail { from: between(&line), ..Mail::default() };
            say(if takes { "250 ok" } else { "451 try again later" })?;
        } else if word.starts_with("RCPT TO:") {
            mail.to.push(between(&line));
            say("250 ok")?;
        } else if word == "DATA" {
            say("354 go on")?;
            for line in lines.by_ref() {
                match line.ok()?.as_str() {
                    "." => break,
                    line => mail.text.push_str(&format!("{line}\n")),
                }
            }
            mails.push(std::mem::take(&mut mail));
            say("250 taken")?;
        } else if word == "QUIT" {
            say("221 bye")?;
            return Some(());
        } else {
            say("250 ok")?;
        }
    }
    Some(())
}

fn between(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(address, _)| address)
        .to_owned()
}
