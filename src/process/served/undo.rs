//! What is done about an answer that came when nobody waited for it any longer.

use super::link::{Link, Orphan};
use super::wire::{Answer, Ask, Load};

/// Gives back what an answer brought: a lock, items, a notification, handles.
pub(super) fn undo(link: &Link, orphan: Orphan) {
    let Orphan { word, who, answer } = orphan;
    match answer {
        Answer::Locked { value, .. } => {
            link.tell(word, who, &Ask::Unlock(None));
            value.iter().for_each(|load| let_go(link, load));
        }
        Answer::Woken { notified, value, .. } => {
            if notified {
                // For the next one, in the place of this.
                link.tell(word, who, &Ask::Notify(1));
            }
            link.tell(word, who, &Ask::Unlock(None));
            let_go(link, &value);
        }
        Answer::Items(items) => {
            for got in items {
                let load = got.item.clone();
                link.tell(word, who, &got.back());
                let_go(link, &load);
            }
        }
        Answer::Word(word) => link.tell(word, 0, &Ask::LetGo(1)),
        Answer::Loads { loads, .. } => loads.iter().for_each(|load| let_go(link, load)),
        _ => {}
    }
}

/// Gives back the handles in a value that is not read.
fn let_go(link: &Link, load: &Load) {
    load.words.iter().for_each(|word| link.tell(*word, 0, &Ask::LetGo(1)));
}
