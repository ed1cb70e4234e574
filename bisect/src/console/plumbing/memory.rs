//! Memory: who asks for it, or gives it back wrongly, is meant.

use super::Part;

#[rustfmt::skip] // one name a line would make a table that nobody reads
pub(super) const PARTS: &[Part] = &[
    // mm/{slab,slub,slab_common,util,mempool,dmapool}.c
    &[
        "*kmem_cache_*", "*kmalloc*", "*kzalloc*", "*kcalloc*", "*krealloc*", "*kvmalloc*",
        "*kvrealloc*", "*kvzalloc*", "*kmemdup*", "*kstrdup*", "kstrndup", "memdup_*",
        "strndup_user", "vmemdup_user", "kfree", "kvfree", "kfree_sensitive", "kzfree",
        "__kfree", "free_large_kmalloc", "*slab_alloc*", "*slab_free*", "__cache_*alloc*",
        "____cache_alloc*", "cache_alloc_refill", "cache_grow*", "fallback_alloc",
        "new_slab", "allocate_slab", "alloc_slab_page", "*slab_pre_alloc*",
        "*slab_post_alloc*", "get_partial_node*", "mempool_*", "dma_pool_*", "check_object",
        "slab_pad_check", "alloc_debug_processing", "free_debug_processing", "object_err",
        "slab_bug*",
    ],
    // mm/{page_alloc,mempolicy,vmalloc,nommu,page_owner,percpu}.c, include/linux/gfp.h
    &[
        "*alloc_pages*", "*alloc_frozen_pages*", "alloc_page", "alloc_page_*",
        "post_alloc_hook", "prep_new_page", "get_page_from_freelist", "__get_free_pages*",
        "get_zeroed_page*", "*folio_alloc*", "__free_pages_ok*", "__set_page_owner*",
        "warn_alloc*", "*vmalloc*", "*vzalloc*", "vfree", "__vunmap", "vunmap",
        "*alloc_percpu*", "pcpu_alloc*", "pcpu_create_chunk", "alloc_vmap_area",
        "__get_vm_area_node",
    ],
    // mm/{filemap,folio-compat,truncate}.c, fs/buffer.c: the page cache
    &[
        "pagecache_get_page", "*filemap_get_folio*", "filemap_alloc_folio*", "find_get_*",
        "find_lock_*", "find_or_create_page", "grab_cache_page*", "__page_cache_alloc*",
        "add_to_page_cache*", "__add_to_page_cache*", "filemap_add_folio", "do_read_cache_*",
        "read_cache_page*", "*lock_page*", "folio_unlock", "__folio_lock*",
        "mark_buffer_dirty", "truncate_inode_pages_range", "folio_mark_dirty",
    ],
    // arch/*/mm/physaddr.c
    &[
        "__phys_addr*", "__virt_to_phys*", "__virt_addr_valid",
    ],
];
