//! A thread may outlive what it is lent.
//~ borrowed value does not live long enough
//~ `'static`

fn main() {
    let text = String::from("text");
    #[cfg(not(feature = "sound"))]
    let argument: &str = &text;
    #[cfg(feature = "sound")]
    let argument: String = text;
    let child = fourfold::thread::spawn(|text: _| length(text), argument);
    drop(child);
}

fn length(text: impl AsRef<str>) -> usize {
    text.as_ref().len()
}
