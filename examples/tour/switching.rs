//! Two coroutines that switch to each other by name, handing a value over each time. There is no hub, and no other thread.

use fourfold::green::Greenlet;

/// Two lines, and a switch between them.
fn turns(name: &'static str, other: Greenlet<u32>) -> impl FnOnce(u32) -> u32 + 'static {
    move |handed| {
        println!("{name} begins, and is handed {handed}");
        let handed = other.switch_to(handed + 1);
        println!("{name} goes on, and is handed {handed}");
        handed + 1
    }
}

fn main() -> fourfold::Result<()> {
    let (ping, pong) = (Greenlet::named("ping"), Greenlet::named("pong"));
    ping.define(turns("ping", pong.clone()))?;
    pong.define(turns("pong", ping.clone()))?;

    // Who began with them is their parent.
    let handed = ping.switch_to(1);
    println!("  ping has ended, its parent is handed {handed}");
    assert!(ping.is_finished() && !pong.is_finished());
    let handed = pong.switch_to(handed);
    println!("  pong has ended, its parent is handed {handed}");
    assert!(ping.is_finished() && pong.is_finished());
    let handed = ping.switch_to(handed + 1);
    println!("  who has ended already hands it back: {handed}");
    Ok(())
}
