//! TLS by rustls over a server's connections: an echo in upper case, under three models, and the client that trusts it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fourfold::server::{self, Conn, Model, Server};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use serde::{Deserialize, Serialize};

/// Who the server is: what a worker process is given of it.
#[derive(Clone, Serialize, Deserialize)]
struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Identity {
    /// One that nobody has signed but itself.
    fn new() -> Result<Identity, rcgen::Error> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = made.cert.der().to_vec();
        Ok(Identity { certificate, key: made.signing_key.serialize_der() })
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.certificate.clone())
    }

    /// Made once in each process.
    fn config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
        if let Some(config) = CONFIG.get() {
            return Ok(Arc::clone(config));
        }
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![self.certificate()], key)?;
        Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
    }
}

/// Answers each line in upper case. The connection suspends a coroutine or blocks a thread, and TLS above it knows of neither.
fn shout(conn: &mut Conn, identity: &Identity) -> io::Result<()> {
    let config = identity.config().map_err(io::Error::other)?;
    let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut lines = BufReader::new(rustls::Stream::new(&mut session, conn));
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        lines.get_mut().write_all(line.to_uppercase().as_bytes())?;
        line.clear();
    }
    let stream = lines.into_inner();
    stream.conn.send_close_notify();
    stream.conn.write_tls(stream.sock).map(drop)
}

/// What a client is answered that trusts these, and how it was kept secret.
fn ask(address: SocketAddr, trusted: RootCertStore, lines: &str) -> io::Result<(String, String)> {
    let config = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut stream = rustls::Stream::new(&mut session, &mut stream);
    stream.write_all(lines.as_bytes())?;
    stream.conn.send_close_notify();
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let how = session.protocol_version().map_or_else(String::new, |how| format!("{how:?}"));
    Ok((answer, how))
}

fn transcript(model: &str, identity: &Identity) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let model: Model = model.parse()?;
    let shout = server::with(identity.clone(), shout);
    let server = Server::builder()
        .listen("127.0.0.1:0")?
        .idle_timeout(Duration::from_secs(60))
        .read_timeout(Duration::from_secs(10))
        .start(model, shout)?;
    let address = server.addresses()[0].tcp().expect("a port");
    let mut told = Vec::new();

    let mut trusted = RootCertStore::empty();
    trusted.add(identity.certificate())?;
    let (answer, how) = ask(address, trusted.clone(), "one\ntwo\n")?;
    told.push(format!("over {how}: {answer:?}"));

    let doubt = ask(address, RootCertStore::empty(), "one\n").expect_err("it trusts nobody");
    told.push(format!("one that trusts nobody: {doubt}"));

    // What it is answered is an alert of TLS.
    let mut plain = TcpStream::connect(address)?;
    plain.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut alert = Vec::new();
    BufReader::new(plain).read_until(b'\n', &mut alert)?;
    told.push(format!("one that speaks no TLS has no answer: {}", !alert.contains(&b'G')));

    let (answer, _) = ask(address, trusted, "three\n")?;
    told.push(format!("the next one: {answer:?}"));
    let ended = server.shutdown(Duration::from_secs(60));
    told.push(format!("cut: {}, failed: {}", ended.cut, server.counters().failed));
    Ok(told)
}

#[fourfold::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let identity = Identity::new()?;
    let threads = transcript("threads", &identity)?;
    println!("{}", threads.join("\n"));
    for model in ["coroutines", "prefork:2"] {
        println!("{model}, the same: {}", transcript(model, &identity)? == threads);
    }
    Ok(())
}
