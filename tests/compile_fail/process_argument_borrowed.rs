//! A text that is borrowed: the other process has nobody to borrow it from.
//~ Deserialize
//~ is not general enough

use fourfold::process;

fn main() {
    #[cfg(not(feature = "sound"))]
    drop(process::spawn(|text: &str| text.len(), "text"));
    #[cfg(feature = "sound")]
    drop(process::spawn(|text: String| text.len(), "text".to_owned()));
}
