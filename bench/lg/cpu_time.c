#include "lg.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void read_server_threads(struct cpu_time *cpu, int pid)
{
    char path[64 + 256];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *file = fopen(path, "r");
        unsigned long long run, wait;
        if (file && fscanf(file, "%llu %llu", &run, &wait) == 2) {
            cpu->server += (double)run / 1e9;
            if (cpu->thread_count < THREADS_MAX) {
                cpu->threads[cpu->thread_count] = (int)strtol(entry->d_name, NULL, 10);
                cpu->thread_run[cpu->thread_count] = (double)run / 1e9;
                cpu->thread_wait[cpu->thread_count++] = (double)wait / 1e9;
            }
        }
        if (file)
            fclose(file);
    }
    if (folder)
        closedir(folder);
}

static void read_server_times(struct cpu_time *cpu, int pid, double ticks)
{
    char path[64], line[1024] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    unsigned long user = 0, system = 0;
    const char *behind_name = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (behind_name)
        sscanf(behind_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    cpu->server_user = (double)user / ticks;
    cpu->server_system = (double)system / ticks;
    if (file)
        fclose(file);
}

static void read_machine(struct cpu_time *cpu, double ticks)
{
    FILE *file = fopen("/proc/stat", "r");
    char line[512];
    int id;
    unsigned long long v[8];
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu %llu", &id, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6,
                   v + 7) != 9 || id >= CPUS_MAX)
            continue;
        cpu->busy += (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / ticks;
        cpu->stolen += (double)v[7] / ticks;
    }
    if (file)
        fclose(file);
}

void cpu_time_read(struct cpu_time *cpu, int server_pid)
{
    double ticks = (double)sysconf(_SC_CLK_TCK);
    memset(cpu, 0, sizeof *cpu);
    cpu->time_ns = now_ns();
    if (server_pid) {
        read_server_threads(cpu, server_pid);
        read_server_times(cpu, server_pid, ticks);
    }
    read_machine(cpu, ticks);
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    cpu->client = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) + (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
}

double busiest_thread_wait(const struct cpu_time *before, const struct cpu_time *after)
{
    double most = -1, wait = 0;
    for (int i = 0; i < after->thread_count; i++) {
        for (int j = 0; j < before->thread_count; j++) {
            double run = after->thread_run[i] - before->thread_run[j];
            if (after->threads[i] == before->threads[j] && run > most) {
                most = run;
                wait = after->thread_wait[i] - before->thread_wait[j];
            }
        }
    }
    return wait;
}
