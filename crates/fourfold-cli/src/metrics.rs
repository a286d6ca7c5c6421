//! The counters of a server in the text format of Prometheus, by HTTP: a second, smaller server.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use fourfold::server::{Address, Conn, Coroutines, Server};

/// The longest request that is read.
const REQUEST: u64 = 8 << 10;

/// Serves what another server counts, until it is dropped.
pub(crate) fn serve(address: Address, counted: &Arc<Server>) -> fourfold::Result<Server> {
    let counted = Arc::clone(counted);
    Server::builder()
        .listen(address)?
        .max_connections(64)
        .idle_timeout(Duration::from_secs(10))
        .handler_timeout(Duration::from_secs(10))
        .start(Coroutines(1), move |conn: &mut Conn| answer(conn, &counted))
}

/// One request, and the end.
fn answer(conn: &mut Conn, counted: &Server) -> io::Result<()> {
    let mut lines = BufReader::new((&*conn).take(REQUEST)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of its head is of no interest, but has to be read: a close before that would break the connection.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = request.split(' ');
    let (status, kind, body) = match (words.next(), words.next()) {
        (Some("GET"), Some("/metrics" | "/")) => (
            "200 OK",
            "text/plain; version=0.0.4; charset=utf-8",
            counted.counters().prometheus("fourfold_echo"),
        ),
        (Some("GET"), Some(_)) => ("404 Not Found", "text/plain", "only /metrics is here\n".into()),
        _ => ("400 Bad Request", "text/plain", "only GET is known here\n".into()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    conn.write_all((head + &body).as_bytes())
}
