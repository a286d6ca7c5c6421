//! A coroutine of a scope must not borrow what goes before the scope ends.
//~ `limit` does not live long enough
//~ borrowed value does not live long enough

fn main() {
    #[cfg(feature = "sound")]
    let limit = 3;
    fourfold::green::scope(|scope| {
        #[cfg(not(feature = "sound"))]
        let limit = 3;
        let borrowed = &limit;
        drop(scope.spawn(move || *borrowed, ()));
    })
    .unwrap();
}
