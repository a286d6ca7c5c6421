//! The methods that all queues have, written once.

/// The methods of a queue around `self.channel` beyond making it and putting, and what all queues implement.
macro_rules! queue_methods {
    ($name:ident<$($param:ident $(: $bound:path)?),*>, $shown:literal) => {
        impl<$($param $(: $bound)?),*> $name<$($param),*> {
            /// Takes an item, and waits for one.
            ///
            /// # Errors
            ///
            /// [`GetError::ShutDown`]: the queue was shut down, and is empty.
            #[track_caller]
            #[inline]
            pub fn get(&self) -> Result<T, GetError> {
                let wait = Wait { what: concat!($shown, "::get"), place: Location::caller() };
                self.channel.get(&wait, || None)
            }

            /// Takes an item if there is one, also before those who wait for one.
            ///
            /// # Errors
            ///
            /// [`GetError::Empty`], or as [`get`](Self::get).
            #[inline]
            pub fn try_get(&self) -> Result<T, GetError> {
                self.channel.try_get()
            }

            /// Takes an item, and waits for one for so long.
            ///
            /// # Errors
            ///
            /// [`GetError::Empty`], or as [`get`](Self::get).
            #[track_caller]
            pub fn get_timeout(&self, limit: Duration) -> Result<T, GetError> {
                let wait =
                    Wait { what: concat!($shown, "::get_timeout"), place: Location::caller() };
                self.channel.get(&wait, || after(limit))
            }

            /// Takes an item, for a future. Dropped before, it has taken none.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            pub async fn get_async(&self) -> Result<T, GetError> {
                self.channel.get_async().await
            }

            /// How many items are in it, at this moment.
            pub fn len(&self) -> usize {
                self.channel.store().len()
            }

            /// Whether no item is in it, at this moment.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether there is no room in it, at this moment.
            pub fn is_full(&self) -> bool {
                self.capacity().is_some_and(|capacity| self.len() >= capacity)
            }

            /// How many items it has room for. `None`: for any number.
            pub fn capacity(&self) -> Option<usize> {
                self.channel.store().capacity()
            }

            /// Says that an item that came out of the queue is done.
            ///
            /// # Errors
            ///
            /// There were not as many items: [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput).
            pub fn task_done(&self) -> Result<(), Error> {
                self.channel.task_done()
            }

            /// Waits until all items that were put are said to be done.
            #[track_caller]
            pub fn join(&self) {
                let wait = Wait { what: concat!($shown, "::join"), place: Location::caller() };
                self.channel.join(&wait, None);
            }

            /// As [`join`](Self::join), for so long, and says whether all were done.
            #[track_caller]
            pub fn join_timeout(&self, limit: Duration) -> bool {
                let wait =
                    Wait { what: concat!($shown, "::join_timeout"), place: Location::caller() };
                self.channel.join(&wait, after(limit))
            }

            /// As [`join`](Self::join), for a future.
            pub async fn join_async(&self) {
                self.channel.join_async().await;
            }

            /// Shuts the queue down: nothing more is put, and whoever waits is told. What is in it can still be got, unless
            /// `immediate` drops it; what is dropped counts as done.
            pub fn shut_down(&self, immediate: bool) {
                self.channel.shut_down(immediate);
            }

            /// Takes items, and waits for them, until the queue is shut down and empty.
            pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
                std::iter::from_fn(|| self.get().ok())
            }

            /// Takes what is in it, without waiting.
            pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
                std::iter::from_fn(|| self.try_get().ok())
            }

            /// Polls until there is an item, or the end, and takes none.
            pub(crate) fn look(&self) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
                self.channel.look_for_items()
            }
        }

        impl<$($param $(: $bound)?),*> Clone for $name<$($param),*> {
            /// The same queue.
            fn clone(&self) -> Self {
                $name { channel: self.channel.clone() }
            }
        }

        impl<$($param $(: $bound)?),*> Default for $name<$($param),*> {
            fn default() -> Self {
                $name::new()
            }
        }

        impl<$($param $(: $bound)?),*> fmt::Debug for $name<$($param),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($shown)
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .finish()
            }
        }
    };
}

/// The methods that put an item of a queue around `self.channel`, for an `impl` block.
macro_rules! put_methods {
    ($shown:literal) => {
        /// Puts an item, and waits for room.
        ///
        /// # Errors
        ///
        /// [`PutError::ShutDown`], with the item.
        #[track_caller]
        #[inline]
        pub fn put(&self, item: T) -> Result<(), PutError<T>> {
            let wait = Wait { what: concat!($shown, "::put"), place: Location::caller() };
            self.channel.put(Self::wrap(item), &wait, || None)
        }

        /// Puts an item if there is room, also before those who wait for it.
        ///
        /// # Errors
        ///
        /// [`PutError::Full`], with the item, or as [`put`](Self::put).
        #[inline]
        pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
            self.channel.try_put(Self::wrap(item))
        }

        /// Puts an item, and waits for room for so long.
        ///
        /// # Errors
        ///
        /// [`PutError::Full`], with the item, or as [`put`](Self::put).
        #[track_caller]
        pub fn put_timeout(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
            let wait = Wait { what: concat!($shown, "::put_timeout"), place: Location::caller() };
            self.channel.put(Self::wrap(item), &wait, || after(limit))
        }

        /// Puts an item, for a future. Dropped before, it has not put the item, which is dropped with it.
        ///
        /// # Errors
        ///
        /// As [`put`](Self::put).
        pub async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
            self.channel.put_async(Self::wrap(item)).await
        }
    };
}

pub(super) use {put_methods, queue_methods};
