//! Tasks that wait for tasks of their own executor: where that ends at this scale.

use fourfold::ErrorKind;

use super::waiting::{chain, pool};
use crate::support::{LIMIT, within};

#[test]
fn a_chain_longer_than_can_be_is_an_error_and_no_hang() {
    within(LIMIT, || {
        let pool = pool(2);
        assert_eq!(chain(&pool, 250).unwrap(), 250);
        let error = chain(&pool, 1000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadlock);
        assert!(error.to_string().contains("wait"), "{error}");
        assert_eq!(chain(&pool, 250).unwrap(), 250, "the executor goes on");
    });
}
