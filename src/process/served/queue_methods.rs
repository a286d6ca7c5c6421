//! The methods that all served queues have, written once.

/// The methods of a queue around `self.channel` beyond making it and putting, and what all queues implement.
macro_rules! queue_methods {
    ($name:ident<$($param:ident),*>, $shown:literal, $order:expr, $on_death:expr) => {
        impl<$($param),*> $name<$($param),*> {
            /// An empty queue with room for any number of items.
            ///
            /// # Errors
            ///
            /// There is no room for it, or the root is gone:
            /// [`ErrorKind::RootGone`](crate::ErrorKind::RootGone).
            pub fn new() -> Result<Self> {
                Self::builder().build()
            }

            /// An empty queue with room for so many items.
            ///
            /// # Errors
            ///
            /// As [`new`](Self::new), or the capacity is 0: [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput).
            pub fn bounded(capacity: usize) -> Result<Self> {
                Self::builder().capacity(capacity).build()
            }

            /// Says more about the queue that is to be made.
            pub fn builder() -> QueueBuilder<Self> {
                QueueBuilder::new($order, $on_death, Self::around)
            }

            /// How many items are in it, at this moment.
            ///
            /// # Errors
            ///
            /// The root is gone, here and below.
            pub fn len(&self) -> Result<usize> {
                self.channel.len()
            }

            /// Whether no item is in it, at this moment.
            ///
            /// # Errors
            ///
            /// As [`len`](Self::len).
            pub fn is_empty(&self) -> Result<bool> {
                Ok(self.len()? == 0)
            }

            /// Whether there is no room in it, at this moment.
            ///
            /// # Errors
            ///
            /// As [`len`](Self::len).
            pub fn is_full(&self) -> Result<bool> {
                match self.capacity() {
                    Some(capacity) => Ok(self.len()? >= capacity),
                    None => Ok(false),
                }
            }

            /// How many items it has room for. `None`: for any number.
            pub fn capacity(&self) -> Option<usize> {
                self.channel.capacity()
            }

            /// Says that an item that came out of the queue is done: of those of this thread, the one that it has had for
            /// longest; if it has none, of those of this process, and else of any.
            ///
            /// # Errors
            ///
            /// There were not as many items: [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput). Or as
            /// [`len`](Self::len).
            pub fn task_done(&self) -> Result<()> {
                self.channel.task_done()
            }

            /// Waits until all items that were put are done.
            ///
            /// # Errors
            ///
            /// As [`len`](Self::len).
            #[track_caller]
            pub fn join(&self) -> Result<()> {
                let wait = Wait { what: concat!($shown, "::join"), place: Location::caller() };
                self.channel.join(FOR_EVER, &wait).map(drop)
            }

            /// As [`join`](Self::join), for so long, and says whether all were done.
            ///
            /// # Errors
            ///
            /// As [`len`](Self::len).
            #[track_caller]
            pub fn join_timeout(&self, time: Duration) -> Result<bool> {
                let wait =
                    Wait { what: concat!($shown, "::join_timeout"), place: Location::caller() };
                self.channel.join(limit(time), &wait)
            }

            /// As [`join`](Self::join), for a future.
            ///
            /// # Errors
            ///
            /// As [`len`](Self::len).
            pub async fn join_async(&self) -> Result<()> {
                self.channel.join_async().await
            }

            /// Shuts the queue down: nothing more is put, and whoever waits is told. What is in it can still be got, unless
            /// `immediate` drops it; what is dropped counts as done.
            ///
            /// # Errors
            ///
            /// As [`len`](Self::len).
            pub fn shut_down(&self, immediate: bool) -> Result<()> {
                self.channel.shut_down(immediate)
            }
        }

        impl<$($param),*> $name<$($param),*>
        where
            T: Payload,
        {
            /// Takes an item, and waits for one.
            ///
            /// # Errors
            ///
            /// [`GetError::ShutDown`]: the queue was shut down, and is empty. [`GetError::Failed`]: the item is not to be read
            /// back, and is taken all the same, so that it is to be said to be done as any other; or the root is gone. Here
            /// and below.
            #[track_caller]
            pub fn get(&self) -> Result<T, GetError> {
                self.get_marked().map(|marked| marked.item)
            }

            /// Takes an item if there is one.
            ///
            /// # Errors
            ///
            /// [`GetError::Empty`], or as [`get`](Self::get).
            #[track_caller]
            pub fn try_get(&self) -> Result<T, GetError> {
                let wait = Wait { what: concat!($shown, "::try_get"), place: Location::caller() };
                self.channel.get(AT_ONCE, &wait).map(|marked| marked.item)
            }

            /// Takes an item, and waits for one for so long.
            ///
            /// # Errors
            ///
            /// [`GetError::Empty`], or as [`get`](Self::get).
            #[track_caller]
            pub fn get_timeout(&self, time: Duration) -> Result<T, GetError> {
                self.get_marked_timeout(time).map(|marked| marked.item)
            }

            /// Takes an item, for a future. Dropped before, it has taken none.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            pub async fn get_async(&self) -> Result<T, GetError> {
                self.channel.get_async().await
            }

            /// As [`get`](Self::get), with whether a consumer had taken the item before that died.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            #[track_caller]
            pub fn get_marked(&self) -> Result<Marked<T>, GetError> {
                let wait = Wait { what: concat!($shown, "::get"), place: Location::caller() };
                self.channel.get(FOR_EVER, &wait)
            }

            /// As [`get_timeout`](Self::get_timeout), with whether a consumer had taken the item before that died.
            ///
            /// # Errors
            ///
            /// As [`get_timeout`](Self::get_timeout).
            #[track_caller]
            pub fn get_marked_timeout(&self, time: Duration) -> Result<Marked<T>, GetError> {
                let wait =
                    Wait { what: concat!($shown, "::get_timeout"), place: Location::caller() };
                self.channel.get(limit(time), &wait)
            }

            /// Takes as many items as there are, so many at most, in one call, and waits for the first. It ends before one that
            /// is not to be read back, which stays for the next call.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get), of the first item: those behind it stay in the queue.
            #[track_caller]
            pub fn get_many(&self, most: usize) -> Result<Vec<T>, GetError> {
                let wait = Wait { what: concat!($shown, "::get_many"), place: Location::caller() };
                self.channel.get_many(most, FOR_EVER, &wait)
            }

            /// As [`get_many`](Self::get_many), without waiting.
            ///
            /// # Errors
            ///
            /// [`GetError::Empty`], or as [`get_many`](Self::get_many).
            #[track_caller]
            pub fn try_get_many(&self, most: usize) -> Result<Vec<T>, GetError> {
                let wait =
                    Wait { what: concat!($shown, "::try_get_many"), place: Location::caller() };
                self.channel.get_many(most, AT_ONCE, &wait)
            }

            /// What consumers had taken that died, each item once, of a queue that was made with
            /// [`OnDeath::Report`](crate::process::OnDeath::Report). It ends before one that is not to be read back, which stays for the
            /// next call.
            ///
            /// # Errors
            ///
            /// The first is not to be read back, and given up with this call. Or as [`len`](Self::len).
            pub fn lost(&self) -> Result<Vec<T>> {
                self.channel.lost()
            }

            /// Takes items, and waits for them, until the queue is shut down and empty, or an item cannot be got.
            pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
                std::iter::from_fn(|| self.get().ok())
            }

            /// Takes what is in it, without waiting.
            pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
                std::iter::from_fn(|| self.try_get().ok())
            }
        }

        impl<$($param),*> Clone for $name<$($param),*> {
            /// The same queue.
            fn clone(&self) -> Self {
                $name { channel: self.channel.clone() }
            }
        }

        impl<$($param),*> fmt::Debug for $name<$($param),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple($shown).field(&self.channel.number()).finish()
            }
        }
    };
}

/// The methods that put an item of a queue around `self.channel`, for an `impl` block; `Self::key` gives its key.
macro_rules! put_methods {
    ($shown:literal) => {
        /// Puts an item, and waits for room.
        ///
        /// # Errors
        ///
        /// [`PutError::ShutDown`], or [`PutError::Failed`] if the item cannot be serialised or the root is gone: with the item.
        #[track_caller]
        pub fn put(&self, item: T) -> Result<(), PutError<T>> {
            let wait = Wait { what: concat!($shown, "::put"), place: Location::caller() };
            let key = Self::key(&item);
            self.channel.put(item, key, FOR_EVER, &wait)
        }

        /// Puts an item if there is room.
        ///
        /// # Errors
        ///
        /// [`PutError::Full`], with the item, or as [`put`](Self::put).
        #[track_caller]
        pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
            let wait = Wait { what: concat!($shown, "::try_put"), place: Location::caller() };
            let key = Self::key(&item);
            self.channel.put(item, key, AT_ONCE, &wait)
        }

        /// Puts an item, and waits for room for so long.
        ///
        /// # Errors
        ///
        /// [`PutError::Full`], with the item, or as [`put`](Self::put).
        #[track_caller]
        pub fn put_timeout(&self, item: T, time: Duration) -> Result<(), PutError<T>> {
            let wait = Wait { what: concat!($shown, "::put_timeout"), place: Location::caller() };
            let key = Self::key(&item);
            self.channel.put(item, key, limit(time), &wait)
        }

        /// Puts an item, for a future. Dropped while it waits for room, it has not put the item.
        ///
        /// # Errors
        ///
        /// As [`put`](Self::put).
        pub async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
            let key = Self::key(&item);
            self.channel.put_async(item, key).await
        }

        /// Puts items: all of them in one call, or none, where there is room for any number; and else one after the other.
        ///
        /// # Errors
        ///
        /// As [`put`](Self::put), with the items that were not put.
        #[track_caller]
        pub fn put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
            let wait = Wait { what: concat!($shown, "::put_many"), place: Location::caller() };
            self.channel.put_many(items.into_iter().collect(), Self::key, &wait)
        }
    };
}

pub(super) use {put_methods, queue_methods};
