//! Work on several things at a time, for as long as all goes well.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Does something with all items, so many at a time, in any order; the first failure ends it.
pub(crate) fn in_parallel<T: Sync, R: Send, E: Send>(
    workers: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let worker = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else {
                break;
            };
            let result = work(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((i, result));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others = workers.min(items.len()).saturating_sub(1);
        let others: Vec<_> = (0..others).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            done.extend(
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        done
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_the_first_failure_ends_it() {
        let items: Vec<usize> = (0..100).collect();
        let doubled = in_parallel(4, &items, |i| Ok::<_, ()>(2 * i)).unwrap();
        assert_eq!(doubled, items.iter().map(|i| 2 * i).collect::<Vec<_>>());
        assert_eq!(
            in_parallel(4, &[] as &[()], |()| Ok::<_, ()>(())),
            Ok(vec![])
        );
        let done = AtomicUsize::new(0);
        let failed = in_parallel(2, &items, |i| {
            done.fetch_add(1, Ordering::Relaxed);
            if *i == 3 { Err(*i) } else { Ok(()) }
        });
        assert_eq!(failed, Err(3));
        assert!(done.into_inner() < 100);
    }
}
