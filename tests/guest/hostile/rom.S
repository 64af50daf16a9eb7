/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The hostile guest as firmware: 128 KiB that a machine starts from (--bios), which bring the program of hostile.elf to
 * where it belongs and enter it as a boot loader would, so that fw_cfg and the flash chip are there to be abused.
 */

        .set ROM_BASE, 0xfffe0000
        .set STUB, 0x1f000                  /* in the ROM; in the last 64 KiB, where the processor starts */
        .set PAGE_TABLES, 0x9000            /* PML4, PDPT, 4 page directories */
        .set PARAMS, 0x10000
        .set PARAMS_CMDLINE, 0x228
        .set MSR_EFER, 0xc0000080
        .set EFER_LME, 0x100
        .set CR0_PE, 1
        .set CR0_PG, 0x80000000
        .set CR4_PAE, 0x20
        .set PAGE, 3                        /* present, writable */
        .set PAGE_2M, 0x83
        .set ELF_ENTRY, 24
        .set ELF_PHOFF, 32
        .set ELF_PHNUM, 56
        .set PHDR_SIZE, 56
        .set PT_LOAD, 1

        .text
rom:    .incbin HOSTILE_ELF

        .org STUB
        .code16
stub:   cli
        lgdtl %cs:(gdtr - rom - 0x10000)
        movl %cr0, %eax
        orl $CR0_PE, %eax
        movl %eax, %cr0
        ljmpl $8, $(ROM_BASE + protected - rom)

        .code32
protected:
        movl $16, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        cld

        movl $(ROM_BASE), %ebx              /* each loadable segment to its place; RAM is zero at first */
        movl ELF_PHOFF(%ebx), %edx
        addl %ebx, %edx
        movzwl ELF_PHNUM(%ebx), %ebp
1:      cmpl $PT_LOAD, (%edx)
        jne 2f
        movl 8(%edx), %esi                  /* p_offset */
        addl %ebx, %esi
        movl 16(%edx), %edi                 /* p_vaddr */
        movl 32(%edx), %ecx                 /* p_filesz */
        rep movsb
2:      addl $PHDR_SIZE, %edx
        decl %ebp
        jnz 1b

        movl $PAGE_TABLES, %edi             /* 4 GiB as they are */
        movl $0x1800, %ecx
        xorl %eax, %eax
        rep stosl
        movl $(PAGE_TABLES + 0x1000 + PAGE), PAGE_TABLES
        movl $(PAGE_TABLES + 0x2000 + PAGE), PAGE_TABLES + 0x1000
        movl $(PAGE_TABLES + 0x3000 + PAGE), PAGE_TABLES + 0x1008
        movl $(PAGE_TABLES + 0x4000 + PAGE), PAGE_TABLES + 0x1010
        movl $(PAGE_TABLES + 0x5000 + PAGE), PAGE_TABLES + 0x1018
        movl $(PAGE_TABLES + 0x2000), %edi
        movl $PAGE_2M, %eax
3:      movl %eax, (%edi)
        addl $8, %edi
        addl $0x200000, %eax
        jnc 3b

        movl $(ROM_BASE + cmdline - rom), PARAMS + PARAMS_CMDLINE
        movl %cr4, %eax
        orl $CR4_PAE, %eax
        movl %eax, %cr4
        movl $PAGE_TABLES, %eax
        movl %eax, %cr3
        movl $MSR_EFER, %ecx
        rdmsr
        orl $EFER_LME, %eax
        wrmsr
        movl %cr0, %eax
        orl $CR0_PG, %eax
        movl %eax, %cr0
        ljmpl $24, $(ROM_BASE + long_mode - rom)

        .code64
long_mode:
        movl $PARAMS, %esi
        movl $(ROM_BASE), %ebx
        movq ELF_ENTRY(%rbx), %rax
        jmp *%rax

        .balign 8
gdt:    .quad 0
        .quad 0x00cf9b000000ffff            /* 8: code, 32 bits */
        .quad 0x00cf93000000ffff            /* 16: data */
        .quad 0x00af9b000000ffff            /* 24: code, 64 bits */
gdtr:   .word 31
        .long ROM_BASE + gdt - rom
cmdline:
        .asciz "hostile=9,20"

        .org 0x1fff0
        .code16
        ljmp $0xf000, $(stub - rom - 0x10000)
        .org 0x20000
